import { afterEach, expect, it } from 'vitest';
import { askerOf, proxySecret } from '../../src/boot/forwarded.ts';
import type { HttpRequest } from '../../src/boot/http.ts';
import { head, startWorld, type World } from './world.ts';

const secret = proxySecret(Buffer.alloc(32, 7));
const said = { 'x-farm-proxy': secret, 'x-forwarded-for': '10.11.0.7' };

it.each([
  ['the proxy', '127.0.0.1', said, secret, { kind: 'forwarded', client: '10.11.0.7' }],
  ['the proxy on a dual-stack socket', '::ffff:127.0.0.1', said, secret, { kind: 'forwarded', client: '10.11.0.7' }],
  ['a stranger who knows the secret', '10.11.0.66', said, secret, { kind: 'peer', client: '10.11.0.66' }],
  ['a program of this machine without the secret', '127.0.0.1', { 'x-forwarded-for': '10.11.0.7' }, secret, { kind: 'peer', client: '127.0.0.1' }],
  ['one that guesses it', '127.0.0.1', { ...said, 'x-farm-proxy': `${secret.slice(1)}0` }, secret, { kind: 'peer', client: '127.0.0.1' }],
  ['one that guesses it too short', '127.0.0.1', { ...said, 'x-farm-proxy': '' }, secret, { kind: 'peer', client: '127.0.0.1' }],
  ['one that knows nothing, where no proxy is believed', '127.0.0.1', said, undefined, { kind: 'peer', client: '127.0.0.1' }],
  ['a proxy that adds to a list', '127.0.0.1', { ...said, 'x-forwarded-for': '10.11.0.7, 10.11.0.8' }, secret, { kind: 'unnamed' }],
  ['a proxy that says nothing', '127.0.0.1', { 'x-farm-proxy': secret }, secret, { kind: 'unnamed' }],
  ['a node', '10.11.0.7', {}, secret, { kind: 'peer', client: '10.11.0.7' }],
  ['a unix socket', undefined, said, secret, { kind: 'peer', client: undefined }],
] as const)('%s is taken for what it is', (_, peer, headers, known, asker) => {
  expect(askerOf(peer, headers, known)).toEqual(asker);
});

it('tells nothing of the farm key', () => {
  expect(secret).toMatch(/^[0-9a-f]{64}$/);
  expect(secret).not.toBe(proxySecret(Buffer.alloc(32, 8)));
});

let world: World | undefined;
afterEach(() => world?.close());

it('what a proxy forwards is logged and answered as asked by the node, and never as by a process of this machine', async () => {
  const seen: HttpRequest[] = [];
  const routes = async (request: HttpRequest) => {
    seen.push(request);
    return { kind: 'text', text: '' } as const;
  };
  world = await startWorld({ proxySecret: secret, routes, limits: { connectionsPerClient: 1 } });
  await world.raw(head('GET', '/', { 'X-Farm-Proxy': secret, 'X-Forwarded-For': '10.11.0.7' }));
  expect(await world.logged('http.done')).toMatchObject({ client: '10.11.0.7' });
  await world.raw(head('GET', '/', { 'X-Forwarded-For': '10.11.0.7' }));
  expect(seen.map(({ client }) => client)).toEqual(['10.11.0.7', '127.0.0.1']);
  expect(await world.raw(head('GET', '/', { 'X-Farm-Proxy': secret, 'X-Forwarded-For': 'unix:' }))).toMatch(/^HTTP\/1.1 400 /);
  expect(seen.length).toBe(2);
});
