"""Clients that others wrote, and that know nothing of this sandbox, get along with it."""

from __future__ import annotations

import asyncio

import pytest
from b24pysdk.api.callers import call_batch, call_list, call_list_fast, call_method
from b24pysdk.api.callers.call_method import _MethodCaller
from b24pysdk.errors import BitrixAPIInvalidCredentials, BitrixAPINotFound, BitrixAPIQueryLimitExceeded
from fast_bitrix24 import BitrixAsync
from fast_bitrix24.server_response import ErrorInServerResponseException

from tests.sandbox.portal_peer import EXCHANGE, FakeClock, running


@pytest.fixture
def peer():
    with running(with_user_fields=True) as peer:
        yield peer


class TestFastBitrix24:
    @pytest.fixture
    def ask(self, peer):
        """Calls one method of the client."""

        def ask(name, *given, **named):
            client = BitrixAsync(peer.base, verbose=False)
            return asyncio.run(getattr(client, name)(*given, **named))

        return ask

    def test_adds_many_and_reads_them_all(self, ask):
        fields = [
            {"fields": {"NAME": f"Имя {index}", "EMAIL": [{"VALUE": f"n{index}@example.com"}]}} for index in range(120)
        ]
        ids = ask("call", "crm.contact.add", fields)
        assert sorted(ids) == list(range(1, 121))
        contacts = ask("get_all", "crm.contact.list", params={"select": ["ID", "NAME", "EMAIL"]})
        assert sorted(int(contact["ID"]) for contact in contacts) == list(range(1, 121))
        assert all(contact["EMAIL"][0]["VALUE"].endswith("@example.com") for contact in contacts)

    def test_reads_items_of_the_new_family(self, ask):
        for index in range(60):
            ask("call", "crm.item.add", {"entityTypeId": 2, "fields": {"title": f"Сделка {index}"}})
        deals = ask("get_all", "crm.item.list", params={"entityTypeId": 2, "select": ["id", "title"]})
        assert len(deals) == 60

    def test_updates_and_gets_by_id(self, ask):
        ask("call", "crm.deal.add", [{"fields": {"TITLE": f"Сделка {index}"}} for index in range(3)])
        ask("call", "crm.deal.update", [{"ID": number, "fields": {"OPPORTUNITY": number * 10}} for number in (1, 2, 3)])
        deals = ask("get_by_ID", "crm.deal.get", [1, 2, 3])
        assert [deals[key]["OPPORTUNITY"] for key in ("1", "2", "3")] == ["10.00", "20.00", "30.00"]

    def test_batch_with_references_and_error(self, ask):
        commands = {"add": "crm.contact.add?fields[NAME]=Анна", "get": "crm.contact.get?id=$result[add]"}
        assert ask("call_batch", {"halt": 0, "cmd": commands})["get"]["NAME"] == "Анна"
        with pytest.raises(ErrorInServerResponseException, match="Not found"):
            ask("call_batch", {"halt": 0, "cmd": {"get": "crm.contact.get?id=77"}})

    def test_dictionaries(self, ask):
        stages = ask("get_all", "crm.status.list", params={"filter": {"ENTITY_ID": "DEAL_STAGE"}})
        assert len(stages) == 8
        assert ask("get_all", "crm.contact.fields")["NAME"]["type"] == "string"


class TestB24PySdk:
    @pytest.fixture
    def given(self, peer, monkeypatch):
        """Whom to call; the client's scheme is fixed to https, and loopback speaks http."""
        monkeypatch.setattr(_MethodCaller, "_base_url", property(lambda self: f"http://{self._domain}/rest"))
        return {"domain": peer.url.removeprefix("http://"), "auth_token": f"1/{EXCHANGE}", "is_webhook": True}

    def test_method_adds_gets_updates(self, given):
        added = call_method(api_method="crm.contact.add", params={"fields": {"NAME": "Анна"}}, **given)
        assert added["result"] == 1
        call_method(api_method="crm.contact.update", params={"id": 1, "fields": {"NAME": "Вера"}}, **given)
        assert call_method(api_method="crm.contact.get", params={"id": 1}, **given)["result"]["NAME"] == "Вера"

    def test_batch_takes_names_and_numbers_for_keys(self, given):
        adds = [("crm.deal.add", {"fields": {"TITLE": f"Сделка & {index}"}}) for index in range(3)]
        assert call_batch(methods=adds, **given)["result"]["result"] == [1, 2, 3]
        named = call_batch(methods={"deal": ("crm.deal.get", {"id": 2})}, **given)
        assert named["result"]["result"]["deal"]["TITLE"] == "Сделка & 1"

    @pytest.mark.parametrize("method", ["crm.contact.list", "crm.item.list"])
    @pytest.mark.parametrize("caller", [call_list, call_list_fast])
    def test_lists_read_everything_once(self, peer, given, method, caller):
        for begin in range(0, 170, 50):
            peer.batch(**{f"c{index}": f"crm.contact.add?fields[NAME]={begin + index}" for index in range(50)})
        params = (
            {"entityTypeId": 3, "select": ["id", "name"]} if method == "crm.item.list" else {"select": ["ID", "NAME"]}
        )
        found = list(caller(api_method=method, params=params, **given)["result"])
        assert sorted(int(one.get("ID") or one.get("id")) for one in found) == list(range(1, 201))

    def test_errors_become_its_own_exceptions(self, given):
        with pytest.raises(BitrixAPINotFound):
            call_method(api_method="crm.item.get", params={"entityTypeId": 2, "id": 77}, **given)
        with pytest.raises(BitrixAPIInvalidCredentials):
            call_method(api_method="profile", **(given | {"auth_token": "1/wrong"}))

    def test_full_bucket_is_its_limit_exception(self, given, monkeypatch):
        with running(clock=FakeClock(), rate_per_second=1, burst=1) as narrow:
            whom = given | {"domain": narrow.url.removeprefix("http://")}
            call_method(api_method="profile", max_retries=1, **whom)
            with pytest.raises(BitrixAPIQueryLimitExceeded):
                call_method(api_method="profile", max_retries=1, **whom)
