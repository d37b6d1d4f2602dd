// Power by Redfish, with a service over HTTPS; and services that say what they should not.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { FarmError } from '../../src/base/errors.ts';
import { orderByRedfish } from '../../src/power/redfish.ts';
import { openRedfish } from '../../src/power/redfish-door.ts';
import { serverCertificate, serverKey } from '../boot-http/certificates.ts';
import { type RedfishService, serveRedfish } from '../support/redfish-service.ts';

const directory = mkdtempSync(join(tmpdir(), 'farm-redfish-'));
const terms = { key: serverKey, cert: serverCertificate, user: 'admin', password: 'geheim' };
let service: RedfishService;

beforeAll(async () => {
  service = await serveRedfish({ ...terms, allowed: ['On', 'ForceOff', 'GracefulShutdown', 'ForceRestart'] }, ['1']);
  writeFileSync(join(directory, 'bmc'), 'geheim\n', { mode: 0o600 });
  writeFileSync(join(directory, 'wrong'), 'falsch\n', { mode: 0o600 });
  writeFileSync(join(directory, 'ca.pem'), serverCertificate);
});
beforeEach(() => {
  service.odd.clear();
  service.resets.length = 0;
});
afterAll(async () => {
  await service.close();
  rmSync(directory, { recursive: true });
});

const setting = () => ({ kind: 'redfish', address: `127.0.0.1:${service.port}`, user: 'admin', password_file: 'bmc', ca: 'ca.pem' }) as const;
const door = (more: object = {}) => openRedfish({ ...setting(), ...more }, directory);

describe('power by Redfish', () => {
  it.each([
    ['On', 'status', [], { kind: 'state', state: 'on' }],
    ['Off', 'status', [], { kind: 'state', state: 'off' }],
    ['PoweringOn', 'status', [], { kind: 'state', state: 'unknown', detail: 'PowerState PoweringOn' }],
    ['Off', 'on', ['On'], { kind: 'told', detail: 'On' }],
    ['On', 'on', [], { kind: 'told', detail: 'is on already' }],
    ['On', 'off', ['ForceOff'], { kind: 'told', detail: 'ForceOff' }],
    ['On', 'shutdown', ['GracefulShutdown'], { kind: 'told', detail: 'GracefulShutdown' }],
    ['On', 'cycle', ['ForceRestart'], { kind: 'told', detail: 'ForceRestart' }],
    ['Off', 'cycle', ['On'], { kind: 'told', detail: 'On' }],
  ] as const)('a system that is %s, %s: %j', async (state, order, resets, outcome) => {
    service.states.set('1', state);
    expect(await orderByRedfish(door(), order, undefined)).toEqual(outcome);
    expect(service.resets).toEqual(resets);
  });

  it.each([
    ['a wrong password', () => door({ password_file: 'wrong' }), /refuses user admin/],
    ['a certificate that nobody vouches for', () => door({ ca: undefined }), /certificate of 127\.0\.0\.1 is not trusted/],
  ])('%s is told as such', async (_name, open, complaint) => {
    await expect(orderByRedfish(open(), 'on', undefined)).rejects.toThrow(complaint);
    expect(service.resets).toEqual([]);
  });

  it('trusts any certificate only where farm.yaml says so', async () => {
    service.states.set('1', 'Off');
    expect(await orderByRedfish(door({ ca: undefined, insecure: true }), 'status', undefined)).toEqual({ kind: 'state', state: 'off' });
  });

  it("quotes the service's own message", async () => {
    service.states.set('1', 'Off');
    service.odd.set('/redfish/v1/Systems/1/Actions/ComputerSystem.Reset', { status: 409, body: '{"error":{"message":"The fan is broken."}}' });
    await expect(orderByRedfish(door(), 'on', undefined)).rejects.toThrow(/status 409: The fan is broken\./);
  });

  it.each([
    ['no JSON', 'hello', /is no JSON/],
    ['no collection', '{}', /Members/],
    ['a system elsewhere', '{"Members":[{"@odata.id":"http://elsewhere/"}]}', /@odata\.id/],
    ['no system', '{"Members":[]}', /0 computer systems/],
    ['too much', ' '.repeat(2 ** 20 + 1), /more than 1048576 bytes/],
  ])('refuses a service that answers with %s', async (_name, body, complaint) => {
    service.odd.set('/redfish/v1/Systems', { status: 200, body });
    await expect(orderByRedfish(door(), 'on', undefined)).rejects.toThrow(complaint);
  });

  it('asks which of several systems is meant', async () => {
    const two = { Members: [{ '@odata.id': '/redfish/v1/Systems/a' }, { '@odata.id': '/redfish/v1/Systems/b' }] };
    const system = { PowerState: 'On', Actions: { '#ComputerSystem.Reset': { target: '/reset' } } };
    const asked: string[] = [];
    const open = async (path: string): Promise<unknown> => {
      asked.push(path);
      return path === '/redfish/v1/Systems' ? two : system;
    };
    await expect(orderByRedfish(open, 'status', undefined)).rejects.toThrow('the controller has 2 computer systems');
    expect(await orderByRedfish(open, 'status', 'b')).toEqual({ kind: 'state', state: 'on' });
    expect(asked.at(-1)).toBe('/redfish/v1/Systems/b');
    await expect(orderByRedfish(open, 'status', 'c')).rejects.toThrow('no computer system c');
  });

  it('whatever a service says is an outcome or a FarmError', async () => {
    await fc.assert(
      fc.asyncProperty(fc.jsonValue(), fc.jsonValue(), async (systems, system) => {
        const open = async (path: string): Promise<unknown> => (path === '/redfish/v1/Systems' ? systems : system);
        try {
          expect(await orderByRedfish(open, 'on', undefined)).toHaveProperty('kind');
        } catch (error) {
          expect(error).toBeInstanceOf(FarmError);
        }
      }),
      { interruptAfterTimeLimit: 500 },
    );
  });
});
