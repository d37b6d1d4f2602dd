// The write verifier: as long as it stays the same, clients need not send their UNSTABLE writes again. RFC 1813 3.3.7 and 4.8.

export interface WriteVerifier {
  /** Eight bytes. */
  readonly value: Buffer;
  /** After data was lost: every client then sends what it has not seen committed. */
  readonly renew: () => void;
}

/** `random` gives eight bytes that differ from those of every other start of the server. */
export function writeVerifier(random: () => Buffer): WriteVerifier {
  let value = random();
  return {
    get value() {
      return value;
    },
    renew: () => {
      value = random();
    },
  };
}
