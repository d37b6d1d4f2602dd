// What may be asked of a node's power, and what comes of it.

export type PowerOrder = 'on' | 'off' | 'shutdown' | 'cycle' | 'status';

/** `unknown`: nothing on the way to the machine can tell. */
export type PowerState = 'on' | 'off' | 'unknown';

export type PowerOutcome =
  | { readonly kind: 'state'; readonly state: PowerState; readonly detail?: string }
  /** It was told to; what comes of it is for `status` to say. */
  | { readonly kind: 'told'; readonly detail: string }
  | { readonly kind: 'failed'; readonly reason: string; readonly remedy?: string };

/** What to do so that `order` is done, on a machine that is on or off. `nothing`: it is so already. A cycle of a machine that is off is refused by most controllers. */
export function stepFor(order: Exclude<PowerOrder, 'status'>, state: PowerState): 'on' | 'off' | 'shutdown' | 'cycle' | 'nothing' {
  if (state === 'unknown') return order;
  switch (order) {
    case 'on':
      return state === 'on' ? 'nothing' : 'on';
    case 'off':
    case 'shutdown':
      return state === 'off' ? 'nothing' : order;
    case 'cycle':
      return state === 'off' ? 'on' : 'cycle';
  }
}
