// The two kinds of error a farm knows: bad bytes from a remote, and something an operator can mend.

/** A remote sent bytes that are not what its protocol says. Counted and dropped, never fatal. */
export class WireError extends Error {
  /** Stable, e.g. `short`, `dhcp.cookie`. */
  readonly code: string;
  /** Byte offset into the datagram or record at which reading failed. */
  readonly offset: number;

  constructor(code: string, offset: number, message: string) {
    super(message);
    this.name = 'WireError';
    this.code = code;
    this.offset = offset;
  }
}

/** Something the operator can mend: one sentence that says what and where, one that says what to do. */
export class FarmError extends Error {
  /** Stable, e.g. `config.invalid`, `node.duplicate`, `port.taken`. */
  readonly code: string;
  /** What to do about it; printed on its own line. */
  readonly hint: string | undefined;

  constructor(code: string, message: string, hint?: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'FarmError';
    this.code = code;
    this.hint = hint;
  }
}

/** The `code` of a system error (`ENOENT`, `EADDRINUSE`), or undefined for anything else. */
export function systemCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** The sentence in an error, whatever was thrown. */
export function sentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
