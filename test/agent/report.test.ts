// How often the agent talks to its server, and to one that is not there. The rest is in cluster.test.ts, with real agents.
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { backOff, startReporter } from '../../src/agent/report.ts';
import type { AgentReport } from '../../src/cluster/report.ts';

describe('the pause after a failure', () => {
  test.each([
    [1, 1000],
    [2, 2000],
    [3, 4000],
    [4, 8000],
    [6, 30_000],
    [1000, 30_000],
  ])('of number %i is %i ms at most, with a report every 5 s', (failures, most) => {
    expect(backOff(failures, 5000, 0)).toBe(most);
    expect(backOff(failures, 5000, 1)).toBe(most / 2);
  });

  test('is never nothing, whatever the luck', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 10_000 }),
        fc.integer({ min: 1, max: 3_600_000 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (failures, interval, random) => {
          const pause = backOff(failures, interval, random);
          expect(pause).toBeGreaterThanOrEqual(interval / 10);
          expect(pause).toBeLessThanOrEqual(interval * 6);
        },
      ),
    );
  });
});

describe('a reporter', () => {
  const report: AgentReport = {
    ...{ name: 'n1', id: 1, incarnation: 1, stage: 'agent', system: 'starting', uptime: 1, load: 0, cpus: 1, memory: { total: 1, available: 1 } },
    ...{ counts: { unknown: 0, alive: 0, suspect: 0, dead: 0, left: 0 }, members: [], seen: [], version: '0.1.0' },
  };

  test('takes an answer that is no success for a failure, says so once, and says when it is over', async () => {
    const events: string[] = [];
    let bad = 3;
    let done: () => void = () => {};
    const resumed = new Promise<void>((resolve) => {
      done = resolve;
    });
    const server = createServer((_request, response: ServerResponse) => {
      bad -= 1;
      response.writeHead(bad >= 0 ? 503 : 204).end();
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const reporter = startReporter({
      server: '127.0.0.1',
      port: (server.address() as AddressInfo).port,
      interval: 50,
      report: () => report,
      log: (_level, event, fields) => {
        events.push(`${event} ${fields?.['reason'] ?? fields?.['after']}`);
        if (event === 'report.resumed') done();
      },
    });
    await resumed;
    await reporter.farewell(500);
    expect(events).toEqual(['report.failed the server answered 503', 'report.resumed 3']);
    server.close();
  });

  test('does not wait longer than it may for a server that does not answer its farewell', async () => {
    const server = createServer(() => {}).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const events: string[] = [];
    const log = (_level: string, _event: string, fields?: Readonly<Record<string, unknown>>) => events.push(String(fields?.['reason']));
    const reporter = startReporter({ server: '127.0.0.1', port: (server.address() as AddressInfo).port, interval: 50, report: () => report, log });
    await once(server, 'request');
    await reporter.farewell(100);
    expect(events).toEqual(['no answer within 100 ms']);
    server.closeAllConnections();
    server.close();
  });
});
