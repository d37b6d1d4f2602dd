// An exchange as one line of log, in the field's words; docs/reference/events.md describes them.
import type { Fields, Level } from '../base/log.ts';
import type { DhcpExchange } from './exchange.ts';
import { optionName } from './options.ts';
import type { Route } from './route.ts';

export function exchangeLevel({ event, reason }: DhcpExchange): Level {
  if (event === 'dhcp.nak' || event === 'dhcp.decline' || event === 'dhcp.other-server') return 'warn';
  return event === 'dhcp.ignore' && (reason === 'not-a-request' || reason === 'proxy') ? 'debug' : 'info';
}

/** `route` is the way that the reply really went. */
export function exchangeFields(exchange: DhcpExchange, route: Route['kind'] | undefined): Fields {
  const { client, host } = exchange;
  return {
    mac: exchange.mac,
    node: host?.name,
    address: exchange.address,
    asked: exchange.asked,
    client: `${client.firmware}/${client.loader}${client.http ? '/http' : ''}`,
    file: exchange.file,
    relay: exchange.relay,
    otherServer: exchange.otherServer,
    reason: exchange.reason,
    detail: exchange.detail,
    omitted: exchange.omitted?.map(optionName).join(' '),
    route,
  };
}
