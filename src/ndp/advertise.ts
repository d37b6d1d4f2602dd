// When a router solicitation is answered, and with what: RFC 4861 sections 6.1.1 (what is valid) and 6.2.6 (answers), as far as iPXE needs them.
import type { Mac } from '../base/addresses.ts';
import { decodeFrame, encodeFrame, type IcmpFrame } from './frame.ts';
import { decodeMessage, encodeMessage, type NdpMessage, sourceLinkLayerAddress } from './packet.ts';

/** How many answers may go out now. */
export interface AnswerBudget {
  readonly tokens: number;
  /** When `tokens` was right, in milliseconds. */
  readonly at: number;
}

/** Why a solicitation stays without an answer. */
export type Silence =
  /** Not a solicitation. */
  | 'advertisement'
  /** RFC 4861 6.1.1: it crossed a router. */
  | 'hop-limit'
  /** An unspecified source with a link-layer address, which RFC 4861 6.1.1 forbids. */
  | 'link-layer'
  /** Only a multicast could answer a host without an address, and that would reach everybody. iPXE has one before it asks. */
  | 'no-source'
  /** A source that is neither link-local nor unspecified: another network's. */
  | 'source'
  /** No machine that is in its boot loader. */
  | 'not-loading'
  | 'limited';

export type Verdict = { readonly kind: 'answer'; readonly to: Mac; readonly destination: Buffer } | { readonly kind: 'silent'; readonly why: Silence };

/** Boots of a thousand machines at once, each of which asks up to six times in 16 s. */
const burst = 1000;
const perSecond = 100;

/** RFC 4861 6.1.1 and 6.1.2: nothing that passed a router still has it. */
const untouchedHopLimit = 255;

/**
 * What ends iPXE's wait, and nothing more: any advertisement that is not malformed does (ipv6conf_rx_router_advertisement in its ndp.c). Lifetime 0: no
 * default router. No prefix, no managed or other flag: no address, and no DHCPv6, for which iPXE would wait again. No option: nothing
 * to cache.
 */
const nothingHere: NdpMessage = {
  kind: 'advertisement',
  hopLimit: 0,
  flags: 0,
  lifetime: 0,
  reachableTime: 0,
  retransmissionTimer: 0,
  options: [],
};

export function fullAnswerBudget(now: number): AnswerBudget {
  return { tokens: burst, at: now };
}

/** Reads a solicitation's frame. Throws the `WireError`s of `decodeFrame` and `decodeMessage`. */
export function readSolicitation(bytes: Buffer): { readonly frame: IcmpFrame; readonly message: NdpMessage } {
  const frame = decodeFrame(bytes);
  return { frame, message: decodeMessage(frame.message) };
}

/** Whether to answer; `isLoading` says whether the machine with this address is in its boot loader. */
export function judge(
  frame: IcmpFrame,
  message: NdpMessage,
  isLoading: (mac: Mac) => boolean,
  budget: AnswerBudget,
  now: number,
): { readonly verdict: Verdict; readonly budget: AnswerBudget } {
  const why = objection(frame, message) ?? (isLoading(frame.from) ? undefined : 'not-loading');
  if (why !== undefined) return { verdict: { kind: 'silent', why }, budget };
  const elapsed = Math.max(0, now - budget.at);
  const tokens = Math.min(burst, budget.tokens + (elapsed * perSecond) / 1000);
  if (tokens < 1) return { verdict: { kind: 'silent', why: 'limited' }, budget: { tokens, at: now } };
  return { verdict: { kind: 'answer', to: frame.from, destination: frame.source }, budget: { tokens: tokens - 1, at: now } };
}

function objection({ source, hopLimit }: IcmpFrame, message: NdpMessage): Silence | undefined {
  if (message.kind !== 'solicitation') return 'advertisement';
  if (hopLimit !== untouchedHopLimit) return 'hop-limit';
  if (source.every((byte) => byte === 0)) return message.options.some(({ type }) => type === sourceLinkLayerAddress) ? 'link-layer' : 'no-source';
  return isLinkLocal(source) ? undefined : 'source';
}

/** fe80::/10, RFC 4291 2.5.6. */
function isLinkLocal(address: Buffer): boolean {
  return address[0] === 0xfe && ((address[1] ?? 0) & 0xc0) === 0x80;
}

/** The answer's frame, from our interface's two addresses, to the asker alone (RFC 4861 6.2.6 allows it where the source is known). */
export function advertisement(from: Mac, source: Buffer, to: Mac, destination: Buffer): Buffer {
  return encodeFrame({ from, to, source, destination, hopLimit: untouchedHopLimit, message: encodeMessage(nothingHere) });
}
