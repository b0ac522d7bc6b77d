"""What the demo plays: every flow, as two people would do it by hand, each step checked on the other side."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

from sync_worker.cli.stage import Stage, wait_for

STEP_SECONDS = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One thing that was done, and what the other side shows for it; None where it never arrived."""

    flow: str
    done: str
    seen: str | None


Letters = Callable[[], list[tuple[str, str]]]
"""The causes and messages of the dead letters."""


@dataclass(kw_only=True, slots=True)
class Play:
    stage: Stage
    robot_url: str  # with its secret
    letters: Letters
    settle: Callable[[str], None]  # a person settles the letters of this cause in the portal's favour
    seconds: float = STEP_SECONDS

    def steps(self) -> Iterator[Step]:
        """Play everything in order; each step waits for its result."""
        yield from self.people()
        company_id, onec_ref = yield from self.companies()
        yield from self.counterparty_from_onec()
        yield from self.lead()
        deal_id, order_ref = yield from self.deal(company_id)
        yield from self.wholesale_deal(company_id)
        yield from self.invoice(deal_id, order_ref)
        yield from self.status(deal_id, order_ref)
        yield from self.locked_order(deal_id, order_ref)
        yield from self.conflict(company_id, onec_ref)

    def people(self) -> Iterator[Step]:
        id_ = self.stage.portal_form(
            "contacts", last_name="Осипова", name="Анна", second_name="Петровна", phone="8 (916) 555-01-01",
            email="Anna@Example.com",
        )  # fmt: skip
        party = self._see(lambda: self._linked_party(f"b24:contact:{id_}", self.stage.portal("contacts", id_)))
        yield self._step("contact", f"Bitrix24 contact {id_} added", party, _party)
        self.stage.portal_form(f"contacts/{id_}", phone="+7 916 555-01-02")
        party = self._see(lambda: (p := self._party(f"b24:contact:{id_}")) and _phones(p) == ["+79165550102"] and p)
        yield self._step("contact", "her phone changed in Bitrix24", party, _party)

    def companies(self) -> Generator[Step, None, tuple[int, str]]:
        id_ = self.stage.portal_form(
            "companies", title="ООО Ромашка", inn="7707083893", kpp="773601001", phone="8 495 555-02-02",
            email="info@romashka.example", address="Москва, Тверская ул., 1",
        )  # fmt: skip
        external_id = f"b24:company:{id_}"
        party = self._see(
            lambda: (
                (p := self._linked_party(external_id, self.stage.portal("companies", id_)))
                and p["inn"] == "7707083893"
                and p
            )
        )
        yield self._step("company", f"Bitrix24 company {id_} added, with ИНН and КПП", party, _party)
        ref = party["ref"] if party else ""
        if party:
            self.stage.onec_form(f"counterparties/{ref}", legal_address="Москва, Арбат ул., 10")
        address = self._see(lambda: self._portal_address(id_, "Арбат"))
        yield self._step("company", "its legal address changed in 1C", address, lambda a: f"Bitrix24 shows {a}")
        if party:
            self.stage.onec_form(f"counterparties/{ref}", phone="+7 495 000-00-00")
        phones = self._see(lambda: (p := self._party(external_id)) and _phones(p) == ["+74955550202"] and p)
        yield self._step("company", "its phone changed in 1C, which Bitrix24 owns", phones, _party)
        return id_, ref

    def counterparty_from_onec(self) -> Iterator[Step]:
        ref = self.stage.onec_form(
            "counterparties", kind="company", name="АО Вектор", full_name="Акционерное общество Вектор",
            inn="7728168971", kpp="772801001", ogrn="1027700067328", legal_address="Москва, Каланчёвская ул., 27",
        )  # fmt: skip
        company = self._see(lambda: self._portal_company(ref))
        yield self._step("company", "1C counterparty added", company, _company)
        id_ = self.stage.portal_form("companies", title="ИП Смирнов", inn="500100732259")
        self._see(lambda: self._linked_party(f"b24:company:{id_}", self.stage.portal("companies", id_)))
        before = len(self.stage.portal_all("companies"))
        person = self.stage.onec_form(
            "counterparties", kind="person", name="Котова Вера Ильинична", email="vera@example.com"
        )
        contact = self._see(
            lambda: next((c for c in self.stage.portal_all("contacts") if c.get("UF_CRM_1C_ID") == person), None)
        )
        none_twice = len(self.stage.portal_all("companies")) == before
        yield self._step(
            "contact", "1C person added", contact if none_twice else None,
            lambda c: f"Bitrix24 contact {c['ID']}: {c['LAST_NAME']} {c['NAME']} {c['SECOND_NAME']}",
        )  # fmt: skip

    def lead(self) -> Iterator[Step]:
        id_ = self.stage.portal_form("leads", title="Заявка с сайта", name="Олег", phone="8 903 555-03-03")
        self.stage.portal_form(f"leads/{id_}", status_id="CONVERTED")
        lead = self._see(
            lambda: (
                (one := self.stage.onec("leads", external_id=f"b24:lead:{id_}"))
                and self.stage.portal("leads", id_).get("UF_CRM_1C_ID") == one["ref"]
                and one
            )
        )
        yield self._step("lead", f"Bitrix24 lead {id_} qualified", lead, lambda one: f"1C lead {one['title']}")

    def deal(self, company_id: int) -> Generator[Step, None, tuple[int, str]]:
        id_ = self.stage.portal_form(
            "deals", title="Кофемашины", category_id=0, stage_id="NEW", company_id=company_id,
            row_name=["Кофемашина", "Доставка"], row_quantity=["2", "1"], row_price=["54990.00", "1500"],
            row_tax_rate=["20", "20"], row_discount_sum=["990", "0"],
        )  # fmt: skip
        self.stage.portal_form(f"deals/{id_}", stage_id="EXECUTING")
        order = self._see(lambda: self._commented_order(id_))
        yield self._step("deal", f"Bitrix24 deal {id_} reached EXECUTING", order, _order)
        self.stage.portal_form(
            f"deals/{id_}", row_name=["Кофемашина"], row_quantity=["3"], row_price=["54000"], row_tax_rate=["20"],
            row_discount_sum=["0"],
        )  # fmt: skip
        changed = self._see(
            lambda: (o := self.stage.onec("orders", external_id=f"b24:deal:{id_}")) and o["amount"] == "162000.00" and o
        )
        yield self._step("deal", "its rows changed", changed, _order)
        return id_, order["ref"] if order else ""

    def wholesale_deal(self, company_id: int) -> Iterator[Step]:
        """Another pipeline, and the robot instead of the event."""
        id_ = self.stage.portal_form(
            "deals", title="Опт", category_id=1, stage_id="C1:EXECUTING", company_id=company_id,
            row_name=["Зерно"], row_quantity=["10.5"], row_price=["1200"], row_tax_rate=["10"], row_discount_sum=["0"],
        )  # fmt: skip
        self.stage.robot(self.robot_url, id_)
        order = self._see(lambda: self._commented_order(id_))
        yield self._step("deal", f"the robot sent deal {id_} of pipeline 1", order, _order)
        if order:
            self.stage.onec_form(f"orders/{order['ref']}", status="КОтгрузке")
        moved = self._see(lambda: (d := self.stage.portal("deals", id_))["STAGE_ID"] == "C1:FINAL_INVOICE" and d)
        yield self._step("status", "its order moved to КОтгрузке in 1C", moved, _deal)

    def invoice(self, deal_id: int, order_ref: str) -> Iterator[Step]:
        ref = self.stage.onec_form("invoices", order_ref=order_ref, pay_before="2026-12-31")
        card = self._see(lambda: self._invoice(ref, ":N", deal_id))
        yield self._step("invoice", "1C invoice issued", card, _card)
        self.stage.onec_form(f"invoices/{ref}", status="paid", paid_amount="162000.00")
        yield self._step("invoice", "paid in 1C", self._see(lambda: self._invoice(ref, ":P", deal_id)), _card)
        other = self.stage.onec_form("invoices", order_ref=order_ref)
        self._see(lambda: self._invoice(other, ":N", deal_id))
        self.stage.onec_form(f"invoices/{other}", status="cancelled")
        yield self._step(
            "invoice", "another one cancelled", self._see(lambda: self._invoice(other, ":D", deal_id)), _card
        )

    def status(self, deal_id: int, order_ref: str) -> Iterator[Step]:
        self.stage.onec_form(f"orders/{order_ref}", status="КОтгрузке")
        moved = self._see(lambda: (d := self.stage.portal("deals", deal_id))["STAGE_ID"] == "FINAL_INVOICE" and d)
        yield self._step("status", "1C order moved to КОтгрузке", moved, _deal)

    def locked_order(self, deal_id: int, order_ref: str) -> Iterator[Step]:
        self.stage.onec_form(f"orders/{order_ref}", locked="true")
        self.stage.portal_form(f"deals/{deal_id}", title="Кофемашины, дополнено")
        yield self._step("deal", "changed after 1C locked its order", self._letter("order_locked"), str)

    def conflict(self, company_id: int, onec_ref: str) -> Iterator[Step]:
        """Both change the name, and 1C's event is lost on the way: the merge sees both changes at once."""
        self.stage.onec_faults("event_loss:counterparty.changed=1x1")
        self.stage.onec_form(f"counterparties/{onec_ref}", name="ООО «Ромашка»")
        self.stage.portal_form(f"companies/{company_id}", title="Ромашка, ООО")
        letter = self._letter("field_conflict")
        self.stage.onec_faults("")
        untouched = self.stage.portal("companies", company_id)["TITLE"] == "Ромашка, ООО"
        yield self._step("conflict", "both sides changed a company's name", letter if untouched else None, str)
        self.settle("field_conflict")
        settled = self._see(
            lambda: (p := self._party(f"b24:company:{company_id}")) and p["name"] == "Ромашка, ООО" and p
        )
        yield self._step("conflict", "a person took Bitrix24's", settled, _party)

    # --- looking -----------------------------------------------------------------------------------------------------

    def _see(self, look: Callable[[], Any]) -> Any:
        return wait_for(look, seconds=self.seconds)

    def _step(self, flow: str, done: str, found: Any, tell: Callable[[Any], str]) -> Step:
        return Step(flow=flow, done=done, seen=tell(found) if found else None)

    def _letter(self, cause: str) -> str | None:
        found = self._see(lambda: next((text for known, text in self.letters() if known == cause), None))
        return f"dead letter {cause}: {found}" if found else None

    def _party(self, external_id: str) -> dict[str, Any]:
        return self.stage.onec("counterparties", external_id=external_id)

    def _linked_party(self, external_id: str, card: dict[str, Any]) -> dict[str, Any] | None:
        party = self._party(external_id)
        return party if party and card.get("UF_CRM_1C_ID") == party["ref"] else None

    def _portal_company(self, ref: str) -> dict[str, Any] | None:
        """The company with its requisite and address, all three there."""
        for company in self.stage.portal_all("companies"):
            if company.get("UF_CRM_1C_ID") == ref:
                requisite = self._requisite(company["ID"])
                address = self._portal_address(company["ID"], "Каланчёвская")
                if requisite and address:
                    return {**company, "inn": requisite["RQ_INN"], "address": address}
        return None

    def _requisite(self, company_id: int | str) -> dict[str, Any] | None:
        rows = self.stage.portal_all("requisites")
        return next(
            (r for r in rows if (str(r["ENTITY_TYPE_ID"]), str(r["ENTITY_ID"])) == ("4", str(company_id))), None
        )

    def _portal_address(self, company_id: int | str, part: str) -> str | None:
        for row in self.stage.portal_all("addresses"):
            if str(row.get("ANCHOR_ID")) == str(company_id) and part in str(row.get("ADDRESS_1")):
                return str(row["ADDRESS_1"])
        return None

    def _commented_order(self, deal_id: int) -> dict[str, Any] | None:
        """The deal's order, once its ref and its number are on the deal."""
        order = self.stage.onec("orders", external_id=f"b24:deal:{deal_id}")
        is_marked = order and self.stage.portal("deals", deal_id).get("UF_CRM_1C_ID") == order["ref"]
        comments = [str(comment) for comment in self.stage.portal_all("comments")]
        return order if is_marked and any(order["number"] in comment for comment in comments) else None

    def _invoice(self, ref: str, stage: str, deal_id: int) -> dict[str, Any] | None:
        found = [one for one in self.stage.portal_all("smart_invoices") if one.get("xmlId") == ref]
        is_right = len(found) == 1 and str(found[0]["stageId"]).endswith(stage) and found[0]["parentId2"] == deal_id
        return found[0] if is_right else None


def _phones(party: dict[str, Any]) -> list[str]:
    return [phone["value"] for phone in party["phones"]]


def _party(party: dict[str, Any]) -> str:
    return f"1C counterparty {party['name']}, ИНН {party['inn'] or 'none'}, {', '.join(_phones(party)) or 'no phone'}"


def _company(company: dict[str, Any]) -> str:
    return f"Bitrix24 company {company['ID']}: {company['TITLE']}, ИНН {company['inn']}, {company['address']}"


def _order(order: dict[str, Any]) -> str:
    return f"1C order {order['number']}, {len(order['rows'])} rows, {order['amount']} {order['currency']}"


def _deal(deal: dict[str, Any]) -> str:
    return f"Bitrix24 deal {deal['ID']} at stage {deal['STAGE_ID']}"


def _card(card: dict[str, Any]) -> str:
    return f"smart invoice {card['id']}: {card['title']}, {card['opportunity']}, {card['stageId']}"
