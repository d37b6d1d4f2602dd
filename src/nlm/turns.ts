// How many calls may be under way at once: so many to one machine, so many in all; the others wait their turn, and not too many of those.

export interface TurnLimits {
  readonly underWay: number;
  readonly underWayPerPeer: number;
  readonly waitingPerPeer: number;
}

interface Peer {
  underWay: number;
  readonly waiting: (() => void)[];
}

export class Turns {
  private readonly limits: TurnLimits;
  private readonly peers = new Map<string, Peer>();
  private underWay = 0;

  constructor(limits: TurnLimits) {
    this.limits = limits;
  }

  /** Does `work` when it is this peer's turn; undefined at once if too many wait already. `work` never rejects. */
  take<Result>(name: string, work: () => Promise<Result>): Promise<Result> | undefined {
    const peer = this.peers.get(name) ?? { underWay: 0, waiting: [] };
    if (peer.waiting.length >= this.limits.waitingPerPeer) return undefined;
    this.peers.set(name, peer);
    return new Promise((resolve) => {
      peer.waiting.push(() => {
        peer.underWay += 1;
        this.underWay += 1;
        void work().then((result) => {
          peer.underWay -= 1;
          this.underWay -= 1;
          if (peer.underWay === 0 && peer.waiting.length === 0) this.peers.delete(name);
          resolve(result);
          this.next();
        });
      });
      this.next();
    });
  }

  /** The peers in turn, so that one that does not answer holds up itself only. */
  private next(): void {
    for (const [name, peer] of this.peers) {
      if (this.underWay >= this.limits.underWay) return;
      if (peer.underWay >= this.limits.underWayPerPeer) continue;
      const start = peer.waiting.shift();
      if (start === undefined) continue;
      this.peers.delete(name);
      this.peers.set(name, peer);
      start();
    }
  }
}
