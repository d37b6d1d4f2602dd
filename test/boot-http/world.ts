// An HTTP server under test on loopback, what it logs, and a client that sends bytes as they are.
import { connect } from 'node:net';
import { ipv4 } from '../../src/base/addresses.ts';
import { systemClock } from '../../src/base/clock.ts';
import type { Fields, Level } from '../../src/base/log.ts';
import { type HttpServerOptions, startHttpServer } from '../../src/boot/http.ts';

export interface Logged {
  readonly level: Level;
  readonly event: string;
  readonly fields: Fields;
}

export interface World {
  /** Of the first listener and of the second. */
  readonly port: number;
  readonly tlsPort: number;
  readonly events: readonly Logged[];
  /** The fields of the `count`th such event, when it has come. */
  logged(event: string, count?: number): Promise<Fields>;
  /** Sends these bytes and gives all that comes back until the server closes. */
  raw(text: string): Promise<string>;
  close(): Promise<void>;
}

export async function startWorld(options: Partial<HttpServerOptions>): Promise<World> {
  const events: Logged[] = [];
  const waiting: (() => void)[] = [];
  const service = await startHttpServer({
    address: ipv4('127.0.0.1'),
    port: 0,
    routes: async () => undefined,
    clock: systemClock,
    log: (level, event, fields = {}) => {
      events.push({ level, event, fields });
      for (const wake of waiting.splice(0)) wake();
    },
    ...options,
  });
  const [port = 0, tlsPort = 0] = service.sockets.map((socket) => Number(socket.split(':').at(-1)));
  return {
    port,
    tlsPort,
    events,
    logged: async (event, count = 1) => {
      for (;;) {
        const found = events.filter((entry) => entry.event === event)[count - 1];
        if (found !== undefined) return found.fields;
        await new Promise<void>((resolve) => waiting.push(resolve));
      }
    },
    raw: async (text) => {
      const socket = connect(port, '127.0.0.1');
      socket.write(text, 'latin1');
      let got = '';
      socket.on('data', (piece) => {
        got += piece.toString('latin1');
      });
      socket.on('error', () => {}); // a reset is one way to close
      await new Promise((resolve) => socket.once('close', resolve));
      return got;
    },
    close: () => service.close(),
  };
}

/** A request's head with `Connection: close`. */
export function head(method: string, path: string, headers: Readonly<Record<string, string | number>> = {}): string {
  const lines = Object.entries({ Host: 'x', Connection: 'close', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`;
}
