// Links between the agents of one test, in one process: calls and streams that arrive, or are lost, as the test has it.
import type { Duplex } from 'node:stream';
import type { Link } from '../../src/agent/jobs/types.ts';
import { duplexPair } from '../../src/base/duplex-pair.ts';
import { FarmError } from '../../src/base/errors.ts';

type Handler = (from: number, header: unknown, stream: Duplex) => void;
type Answerer = (from: number, body: unknown) => Promise<unknown>;

/** What happens to one call or stream: `lost` before it arrived, `cut` after. */
export type Fate = 'arrives' | 'lost' | 'cut';

export class FakeLinks {
  fate: (from: number, to: number, what: string) => Fate = () => 'arrives';
  /** Nodes whose agent does not run. */
  readonly down = new Set<number>();
  private readonly handlers = new Map<string, Handler>();
  private readonly answerers = new Map<string, Answerer>();
  private readonly streams = new Set<{ readonly ends: readonly number[]; readonly near: Duplex }>();

  of(self: number): Link {
    const gone = (node: number): FarmError => new FarmError('link.down', `node ${node} cannot be reached`);
    return {
      self,
      open: async (node, purpose, header) => {
        await Promise.resolve();
        const fate = this.fate(self, node, purpose);
        const handler = this.handlers.get(`${node} ${purpose}`);
        if (fate === 'lost' || handler === undefined || this.down.has(node) || this.down.has(self)) throw gone(node);
        const [near, far] = duplexPair();
        far.on('error', () => far.destroy());
        near.once('close', () => far.destroy());
        far.once('close', () => near.destroy());
        const stream = { ends: [self, node], near };
        this.streams.add(stream);
        near.once('close', () => this.streams.delete(stream));
        handler(self, JSON.parse(JSON.stringify(header)), far);
        if (fate === 'cut') near.destroy();
        return near;
      },
      serve: (purpose, handler) => void this.handlers.set(`${self} ${purpose}`, handler),
      call: async (node, name, body) => {
        await Promise.resolve();
        const fate = this.fate(self, node, name);
        const answerer = this.answerers.get(`${node} ${name}`);
        if (fate === 'lost' || answerer === undefined || this.down.has(node) || this.down.has(self)) throw gone(node);
        const answer: unknown = await answerer(self, JSON.parse(JSON.stringify(body)));
        if (fate === 'cut' || this.down.has(self)) throw new FarmError('link.cut', `the connection to node ${node} broke`);
        return JSON.parse(JSON.stringify(answer));
      },
      answer: (name, handler) => void this.answerers.set(`${self} ${name}`, handler),
    };
  }

  /** Every stream of this node breaks. */
  cut(node: number): void {
    for (const { ends, near } of this.streams) if (ends.includes(node)) near.destroy();
  }
}
