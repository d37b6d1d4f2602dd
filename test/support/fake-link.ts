// A network of links in memory: streams between nodes that a test can cut. What is on its way then is lost.
import type { Duplex } from 'node:stream';
import type { Link } from '../../src/agent/jobs/types.ts';
import { encodeFailure } from '../../src/agent/link/calls.ts';
import { duplexPair } from '../../src/base/duplex-pair.ts';
import { FarmError } from '../../src/base/errors.ts';

type Handler = Parameters<Link['serve']>[1];
type Answerer = Parameters<Link['answer']>[1];

export interface FakeNetwork {
  /** The same link each time. */
  readonly link: (node: number) => Link;
  /** Destroys every stream. */
  readonly cut: () => void;
  /** Nobody reaches this node, and its streams break. */
  readonly fail: (node: number) => void;
  readonly heal: (node: number) => void;
}

interface FakeNode {
  readonly link: Link;
  readonly handlers: Map<string, Handler>;
  readonly answerers: Map<string, Answerer>;
}

export function fakeNetwork(): FakeNetwork {
  const nodes = new Map<number, FakeNode>();
  const down = new Set<number>();
  const streams = new Set<{ readonly ends: readonly [Duplex, Duplex]; readonly nodes: readonly number[] }>();

  const reach = (from: number, to: number): FakeNode => {
    const target = nodes.get(to);
    if (target === undefined || down.has(to) || down.has(from)) throw new FarmError('link.down', `node ${to} cannot be reached`);
    return target;
  };
  const copy = (value: unknown): unknown => (value === undefined ? undefined : JSON.parse(JSON.stringify(value)));

  function node(self: number): FakeNode {
    const handlers = new Map<string, Handler>();
    const answerers = new Map<string, Answerer>();
    const link: Link = {
      self,
      async open(to, purpose, header) {
        const handler = reach(self, to).handlers.get(purpose);
        if (handler === undefined) throw new FarmError('link.refused', `node ${to} takes no ${purpose}`);
        const ends = duplexPair();
        const [near, far] = ends;
        const entry = { ends, nodes: [self, to] };
        streams.add(entry);
        for (const [one, other] of [ends, [far, near]] as const) {
          one.on('error', () => one.destroy());
          one.once('close', () => {
            streams.delete(entry);
            other.destroy();
          });
        }
        await new Promise((resolve) => setImmediate(resolve));
        handler(self, copy(header), far);
        return near;
      },
      serve: (purpose, handler) => void handlers.set(purpose, handler),
      async call(to, name, body) {
        const answerer = reach(self, to).answerers.get(name);
        if (answerer === undefined) throw new FarmError('link.refused', `node ${to} does not know ${name}`);
        await new Promise((resolve) => setImmediate(resolve));
        try {
          return copy(await answerer(self, copy(body)));
        } catch (error) {
          const { code, message, hint }: { code: string; message: string; hint?: string } = JSON.parse(encodeFailure(error).subarray(4).toString());
          throw new FarmError(code, message, hint);
        }
      },
      answer: (name, handler) => void answerers.set(name, handler),
    };
    return { link, handlers, answerers };
  }

  const end = (which: (between: readonly number[]) => boolean) => {
    for (const { ends, nodes: between } of [...streams]) if (which(between)) for (const one of ends) one.destroy();
  };
  return {
    link(self) {
      const made = nodes.get(self) ?? node(self);
      nodes.set(self, made);
      return made.link;
    },
    cut: () => end(() => true),
    fail(which) {
      down.add(which);
      end((between) => between.includes(which));
    },
    heal: (which) => void down.delete(which),
  };
}
