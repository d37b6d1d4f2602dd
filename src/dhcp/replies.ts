// Replies with their route and their exchange: what the rules end in when they do not end in silence.
import type { Ipv4 } from '../base/addresses.ts';
import { usableFile } from './boot-options.ts';
import { type DhcpAnswer, type DhcpExchange, type DhcpReason, exchange, type Located } from './exchange.ts';
import type { BootClient, Writable } from './pxe.ts';
import type { BootFile, DhcpHost, NothingToBoot, Pool } from './questions.ts';
import { composeNak, composeReply, type LeaseReplyKind, type Reply } from './reply.ts';
import { type ReplyKind, replyRoute } from './route.ts';

const replyEvents = {
  offer: 'dhcp.offer',
  ack: 'dhcp.ack',
  nak: 'dhcp.nak',
  inform: 'dhcp.inform',
  bootp: 'bootp.reply',
  'proxy-offer': 'dhcp.proxy-offer',
  'boot-server': 'dhcp.boot-server',
} as const;

export function reply(kind: ReplyKind, asked: Located, { packet, omitted }: Reply, more: Partial<DhcpExchange>, commits = false): DhcpAnswer {
  return {
    kind: 'reply',
    packet,
    commits,
    route: replyRoute(asked.request, kind, packet.yiaddr),
    exchange: exchange(replyEvents[kind], asked, omitted.length === 0 ? more : { ...more, omitted }),
  };
}

/** `pool`: the address is a lease of it. */
export function give(
  kind: LeaseReplyKind,
  asked: Located,
  host: DhcpHost,
  { pool, rapid = false }: { readonly pool?: Pool; readonly rapid?: boolean } = {},
): DhcpAnswer {
  const { request, context, client, self } = asked;
  const next = context.questions.bootFile(client, host);
  const bootFile = next?.kind === 'nothing' ? undefined : next;
  const made = composeReply(kind, { request, client, host, facts: pool?.host ?? host, bootFile, server: self, rapid });
  const file = usableFile(client, bootFile);
  const address = kind === 'inform' ? request.ciaddr : host.address;
  const more: Partial<Writable<DhcpExchange>> = { host, address };
  const without = file === undefined ? whyNothing(client, next) : undefined;
  if (file !== undefined) more.file = file;
  if (without !== undefined) more.detail = without;
  return reply(kind, asked, made, more, pool !== undefined && (kind === 'ack' || kind === 'bootp'));
}

/** undefined for the client of an operating system, which boots nothing. */
export function whyNothing(client: BootClient, next: BootFile | NothingToBoot | undefined): string | undefined {
  if (next === undefined || (client.loader === 'none' && !client.bootp)) return undefined;
  const reason = next.kind === 'nothing' ? next.reason : 'its boot file needs TFTP, and UEFI HTTP boot has none';
  return `nothing to boot: ${reason}`;
}

/** A NAK. */
export function refuse(asked: Located, address: Ipv4, reason: DhcpReason, detail: string, host?: DhcpHost): DhcpAnswer {
  const more = { address, reason, detail, ...(host === undefined ? {} : { host }) };
  return reply('nak', asked, composeNak(asked.request, asked.self, detail), more);
}

/** A machine of a pool as a host. */
export function poolHost({ host }: Pool, address: Ipv4, leaseSeconds: number): DhcpHost {
  const { subnet, server, routers, nameServers, options } = host;
  const made: Writable<DhcpHost> = { address, leaseSeconds, subnet, server, routers, nameServers, options };
  if (host.domain !== undefined) made.domain = host.domain;
  if (host.rootPath !== undefined) made.rootPath = host.rootPath;
  return made;
}
