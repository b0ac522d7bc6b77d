"""`python -m sandbox`: both systems on ports of this machine, until it is told to stop."""

from __future__ import annotations

import argparse
import signal
import threading

from sandbox.faults import KINDS, FaultPlan, parse_faults
from sandbox.onec import Base, BaseSettings
from sandbox.portal import Portal, PortalSettings


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox", description=__doc__, epilog=f"kinds of faults: {', '.join(KINDS)}"
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--portal-port", type=int, default=8101)
    parser.add_argument("--onec-port", type=int, default=8102)
    parser.add_argument("--ingress-url", default="http://127.0.0.1:8080", help="where both systems send their events")
    parser.add_argument("--application-token", default=PortalSettings().application_token)
    parser.add_argument("--signing-secret", default=BaseSettings().signing_secret)
    parser.add_argument("--webhook-secret", default=None, help="secret of user 1's inbound webhook")
    parser.add_argument("--onec-password", default=BaseSettings().password)
    parser.add_argument("--plan", choices=("standard", "enterprise"), default="standard")
    parser.add_argument("--rate", type=float, default=None, help="requests a second, instead of the plan's")
    parser.add_argument("--burst", type=float, default=None, help="requests at once, instead of the plan's")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds that each call takes")
    parser.add_argument("--request-latency", type=float, default=0.0, help="(portal) seconds that each request takes")
    parser.add_argument(
        "--batch-billing", choices=("nested", "batch"), default="nested", help="whom a batch is charged"
    )
    parser.add_argument("--batch-weight", type=float, default=1.0, help="how much of a batch, if itself is charged")
    parser.add_argument("--user-fields", action="store_true", help="UF_CRM_1C_ID is there already")
    parser.add_argument("--faults", default="", help="for both: kind[:pattern][=share][xTIMES][@SECONDS],...")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    try:
        parse_faults(arguments.faults)
    except ValueError as error:
        parser.error(str(error))
    return arguments


def make_portal(arguments: argparse.Namespace) -> Portal:
    return Portal(
        PortalSettings(
            plan=arguments.plan,
            secrets={arguments.webhook_secret: 1} if arguments.webhook_secret else PortalSettings().secrets,
            rate_per_second=arguments.rate,
            burst=arguments.burst,
            latency_seconds=arguments.latency,
            request_latency_seconds=arguments.request_latency,
            batch_billing=arguments.batch_billing,
            batch_weight=arguments.batch_weight,
            handler_urls=(f"{arguments.ingress_url}/webhooks/bitrix24",),
            application_token=arguments.application_token,
            with_user_fields=arguments.user_fields,
            seed=arguments.seed,
        ),
        faults=FaultPlan(parse_faults(arguments.faults), seed=arguments.seed),
    )


def make_base(arguments: argparse.Namespace) -> Base:
    return Base(
        BaseSettings(
            password=arguments.onec_password,
            webhook_url=f"{arguments.ingress_url}/webhooks/1c",
            signing_secret=arguments.signing_secret,
            latency_seconds=arguments.latency,
            seed=arguments.seed,
        ),
        faults=FaultPlan(parse_faults(arguments.faults), seed=arguments.seed),
    )


def main() -> None:
    arguments = read_arguments()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    portal, base = make_portal(arguments), make_base(arguments)
    with (
        portal.serve(host=arguments.host, port=arguments.portal_port) as portal_server,
        base.serve(host=arguments.host, port=arguments.onec_port) as onec_server,
    ):
        print(f"Bitrix24 portal  {portal_server.url}/", flush=True)
        print(f"1C base          {onec_server.url}/", flush=True)
        stop.wait()


if __name__ == "__main__":
    main()
