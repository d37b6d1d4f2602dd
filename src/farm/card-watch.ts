// Notices a network card that was taken away and made anew under its name (a bridge, a USB card): sockets tied to the old one stay deaf, and say nothing.
import { readFileSync } from 'node:fs';
import { systemCode } from '../base/errors.ts';

/** ROMs go on asking for half a minute (PXE 2.1). */
const lookMilliseconds = 2000;

export interface CardWatch {
  /** Settles when no renewal is under way any more. */
  close(): Promise<void>;
}

/** Calls `renew` for a card that is another than when it was last right, again and again until it succeeds. It must not throw. */
export function watchCards(cards: readonly string[], renew: (card: string) => Promise<boolean>): CardWatch {
  const known = new Map(cards.map((card) => [card, cardIndex(card)]));
  let isClosed = false;
  let renewing: Promise<void> = Promise.resolve();
  const look = async (): Promise<void> => {
    for (const [card, before] of known) {
      const now = cardIndex(card);
      if (isClosed || now === undefined || now === before) continue;
      if (before === undefined || (await renew(card))) known.set(card, now);
    }
  };
  let timer: NodeJS.Timeout;
  const wait = (): void => {
    timer = setTimeout(() => {
      renewing = look();
      void renewing.then(() => (isClosed ? undefined : wait()));
    }, lookMilliseconds).unref();
  };
  wait();
  return {
    close: () => {
      isClosed = true;
      clearTimeout(timer);
      return renewing;
    },
  };
}

/** The kernel's number of the card, which is never used again; undefined if there is no such card. */
function cardIndex(card: string): number | undefined {
  try {
    return Number(readFileSync(`/sys/class/net/${card}/ifindex`, 'utf8'));
  } catch (error) {
    // ENODEV: it went while it was read.
    if (['ENOENT', 'ENODEV', 'EINVAL'].includes(systemCode(error) ?? '')) return undefined;
    throw error;
  }
}
