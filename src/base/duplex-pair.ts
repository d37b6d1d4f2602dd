// Two streams, what is written to one is read from the other: stream.duplexPair of Node 20.17, for the nodes of Debian 12 and Ubuntu 24.04, which have Node 18.
import { Duplex } from 'node:stream';

class Side extends Duplex {
  private other: Side | undefined;
  /** Of a write whose data the other side has not asked for yet. */
  private taken: (() => void) | undefined;

  constructor() {
    super({ allowHalfOpen: true });
  }

  static pair(): readonly [Duplex, Duplex] {
    const [one, other] = [new Side(), new Side()];
    one.other = other;
    other.other = one;
    return [one, other];
  }

  override _read(): void {
    const { taken } = this;
    this.taken = undefined;
    taken?.();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    const { other } = this;
    if (other === undefined || other.destroyed) done();
    else if (chunk.length === 0) process.nextTick(done);
    else {
      other.taken = done;
      other.push(chunk);
    }
  }

  override _final(done: () => void): void {
    this.other?.push(null);
    done();
  }
}

export function duplexPair(): readonly [Duplex, Duplex] {
  return Side.pair();
}
