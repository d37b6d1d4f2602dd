// What a second request from a client's port means: RFC 1350 4 takes address and port for one transfer, and a client that reboots takes them again.

/** Sooner after the last sign of life it is the same request again; later, the client has started anew. Milliseconds. */
const repeatWithin = 1000;

/** Whether `request` is one that the network or an impatient client repeats, and not a new one. Requests are equal as text. */
export function isRepeat(before: { readonly request: string; readonly heardAt: number | undefined }, request: string, now: number): boolean {
  return before.request === request && (before.heardAt === undefined || now - before.heardAt < repeatWithin);
}
