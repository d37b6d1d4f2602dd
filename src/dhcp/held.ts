// Replies that promise a lease wait until it is on disk; one sync does for all that came meanwhile (group commit), and a client's replies keep their order.

/** How many replies may wait, 1.5 kB each at most: beyond it a reply is dropped, and its client asks again. */
export const mostHeld = 4_096;

export interface HeldOptions<Reply> {
  /** Settles when all that was promised before the call is on disk. */
  readonly stable: () => Promise<void>;
  readonly release: (reply: Reply) => void;
  /** They cannot be kept, so they are not sent. */
  readonly lost: (replies: readonly Reply[], error: unknown) => void;
}

export class Held<Reply> {
  private readonly options: HeldOptions<Reply>;
  private batch: { readonly client: string; readonly reply: Reply }[] = [];
  /** How many replies of each client wait. */
  private readonly clients = new Map<string, number>();
  private size = 0;
  private syncing: Promise<void> | undefined;

  constructor(options: HeldOptions<Reply>) {
    this.options = options;
  }

  /** Whether a reply to this client waits, so that the next one must not overtake it. */
  has(client: string): boolean {
    return this.clients.has(client);
  }

  /** false: too many wait. */
  add(client: string, reply: Reply): boolean {
    if (this.size >= mostHeld) return false;
    this.batch.push({ client, reply });
    this.clients.set(client, (this.clients.get(client) ?? 0) + 1);
    this.size++;
    return true;
  }

  /** Asks for the sync of what was added, at the end of each turn of work; what comes while one runs shares the next. */
  flush(): void {
    const { batch } = this;
    if (batch.length === 0 || this.syncing !== undefined) return;
    this.batch = [];
    this.syncing = this.sync(batch).finally(() => {
      this.syncing = undefined;
      this.flush();
    });
  }

  private async sync(batch: readonly { readonly client: string; readonly reply: Reply }[]): Promise<void> {
    let failure: { readonly error: unknown } | undefined;
    try {
      await this.options.stable();
    } catch (error) {
      failure = { error };
    }
    for (const { client } of batch) this.forget(client);
    if (failure === undefined) for (const { reply } of batch) this.options.release(reply);
    else
      this.options.lost(
        batch.map(({ reply }) => reply),
        failure.error,
      );
  }

  private forget(client: string): void {
    const left = (this.clients.get(client) ?? 1) - 1;
    if (left === 0) this.clients.delete(client);
    else this.clients.set(client, left);
    this.size--;
  }

  /** Settles when nothing waits any more. */
  async settled(): Promise<void> {
    this.flush();
    while (this.syncing !== undefined) await this.syncing;
  }
}
