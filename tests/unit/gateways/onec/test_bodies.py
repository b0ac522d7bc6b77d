"""The shapes in which 1C's side refuses."""

from __future__ import annotations

import json

from sync_worker.gateways.onec.bodies import MAX_TEXT, Shape, decode_json, mask_text, read_failure


def test_a_byte_order_mark_is_skipped() -> None:
    assert decode_json(b"\xef\xbb\xbf" + '{"имя": 1}'.encode()) == {"имя": 1}


def test_what_is_no_json_is_none() -> None:
    assert decode_json(b"<html>") is None
    assert decode_json(b"\xff\xfe") is None
    assert decode_json(b"") is None


def test_the_innermost_reason_of_an_exception_is_found_without_its_stack() -> None:
    body = {
        "#exception": "{http://v8.1c.ru/8.2/virtual-resource-system}Exception",
        "exception": {
            "reason": 500,
            "descr": "HTTP: Internal Server Error",
            "inner": {
                "descr": "Ошибка при вызове метода контекста (Записать)",
                "creationStack": "core83.dll:0x01",
                "inner": {"descr": "Конфликт блокировок", "data": "77u/", "inner": {"descr": " "}},
            },
        },
    }

    failure = read_failure(json.dumps(body).encode())

    assert (failure.shape, failure.text) == (Shape.EXCEPTION, "Конфликт блокировок")


def test_an_exception_in_xml_is_read_too() -> None:
    body = '<?xml version="1.0"?><exception reason="406"><descr>Истекло время &amp; всё</descr></exception>'

    assert read_failure(body.encode()).text == "Истекло время & всё"


def test_a_crash_page_says_its_reason() -> None:
    page = "<html><title>1C:Enterprise 8 application error</title><p>by reason:</p><pre>Диск полон</pre></html>"

    failure = read_failure(page.encode())

    assert (failure.shape, failure.text) == (Shape.PAGE, "Диск полон")


def test_a_web_servers_page_says_its_title() -> None:
    assert read_failure(b"<html><TITLE>502 Bad Gateway</TITLE><body><h1>x</h1>").text == "502 Bad Gateway"


def test_a_problem_has_its_code() -> None:
    failure = read_failure(b'{"code": "too_many", "message": "at most 100"}')

    assert (failure.shape, failure.code, failure.text) == (Shape.PROBLEM, "too_many", "at most 100")


def test_json_of_another_shape_says_nothing() -> None:
    assert read_failure(b'{"a": 1}').shape is Shape.OTHER


def test_the_remotes_words_are_kept_without_personal_data() -> None:
    text = "Контрагент ivan@example.com, тел. +7 (916) 123-45-67, ИНН 500100732259, версия 8.3.25.1394"

    masked = mask_text(text)

    assert "ivan" not in masked
    assert "916" not in masked
    assert "500100732259" not in masked
    assert "8.3.25.1394" in masked


def test_the_remotes_words_are_cut() -> None:
    assert len(mask_text("я " * 1000)) == MAX_TEXT
