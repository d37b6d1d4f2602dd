// Boot actions: what a machine's next boot does, and how an action that is ordered for one boot is used up exactly once. Pure.
import type { BootAction } from '../boot/plan.ts';

export const bootActions = ['default', 'local', 'memtest', 'shell', 'reinstall'] as const satisfies readonly BootAction[];

/** What `farm boot` orders for a machine. */
export interface ActionOrder {
  /** `default` for all boots takes back what was ordered before: then the node's profile decides again. */
  readonly action: BootAction;
  /** For its next boot alone. */
  readonly once: boolean;
}

/** What happens to a machine. */
export type ActionEvent =
  | { readonly kind: 'order'; readonly order: ActionOrder }
  /** It fetched its menu, or the kernel that its ROM loads without one: from here on it does what that says. */
  | { readonly kind: 'menu' }
  /** A DHCP or BOOTP message of a ROM: power-on or reset. */
  | { readonly kind: 'began' }
  /** The system that was booted said so itself: the menu took effect. */
  | { readonly kind: 'running' };

/** What is ordered for one machine. `undefined` throughout is a machine that its profile decides for. */
export interface OrderedActions {
  /** For every boot. */
  readonly standing?: BootAction;
  /** For the next boot that fetches its menu. */
  readonly once?: BootAction;
  /** A one-shot action that a boot has been given. `seen`: when that boot last fetched its menu, in milliseconds since the epoch. */
  readonly attempt?: { readonly action: BootAction; readonly seen: number };
}

export const nothingOrdered: OrderedActions = {};

/**
 * A machine whose ROM says nothing that we hear (it was given its menu by another server, or asks by BOOTP like any program) begins its next
 * boot unnoticed. Loaders that failed fetch their menu again within seconds; power-on to menu alone takes some.
 */
export const attemptSilence = 600_000;

/** What the machine gets if it fetches its menu now; undefined: what its profile says. */
export function actionNow(ordered: OrderedActions, now: number): BootAction | undefined {
  const { attempt, once, standing } = ordered;
  return attempt !== undefined && !isOver(attempt, now) ? attempt.action : (once ?? standing);
}

function isOver({ seen }: { readonly seen: number }, now: number): boolean {
  return now - seen > attemptSilence;
}

/**
 * The orders after `event`. A one-shot action belongs to one attempt to boot: from the first menu that is handed out with it until the next
 * boot begins or the booted system reports. Within an attempt a menu that is fetched again says the same; power that fails in between has
 * used the action up. It is given back unchanged, the same object, if nothing is different.
 */
export function afterEvent(ordered: OrderedActions, event: ActionEvent, now: number): OrderedActions {
  switch (event.kind) {
    case 'order': {
      const { action, once } = event.order;
      if (once) return { ...ordered, once: action };
      return action === 'default' ? nothingOrdered : { ...ordered, standing: action };
    }
    case 'menu': {
      const { attempt, once } = ordered;
      if (attempt !== undefined && !isOver(attempt, now)) return { ...ordered, attempt: { ...attempt, seen: now } };
      if (once !== undefined) return { ...without(ordered, 'once'), attempt: { action: once, seen: now } };
      return without(ordered, 'attempt');
    }
    case 'began':
    case 'running':
      return without(ordered, 'attempt');
  }
}

function without(ordered: OrderedActions, key: keyof OrderedActions): OrderedActions {
  if (ordered[key] === undefined) return ordered;
  const { [key]: _, ...rest } = ordered;
  return rest;
}
