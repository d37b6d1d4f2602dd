// What ipmitool is asked, and that no password is in it.
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { orderByIpmi, stateIn } from '../../src/power/ipmi.ts';
import { standIn } from '../support/on-path.ts';

const tool = standIn(
  'ipmitool',
  `const { readFileSync, writeFileSync } = require('node:fs');
const state = __dirname + '/state';
const word = args.at(-1);
if (readFileSync(args[args.indexOf('-f') + 1], 'utf8') !== 'geheim\\n') { console.error('RAKP 2 HMAC is invalid'); process.exit(1); }
if (word === 'status') console.log('Chassis Power is ' + readFileSync(state, 'utf8'));
else { writeFileSync(state, word === 'off' ? 'off' : 'on'); console.log('Chassis Power Control: ' + word); }`,
);
const { directory } = tool;
const passwordFile = join(directory, 'bmc');
const power = { kind: 'ipmi', address: '10.9.0.1', user: 'admin', password_file: 'bmc' } as const;
const at = (state: string): void => writeFileSync(join(directory, 'state'), state);

beforeEach(() => {
  writeFileSync(passwordFile, 'geheim\n');
  chmodSync(passwordFile, 0o600);
  at('on');
});
afterAll(() => tool.remove());

describe('power by IPMI', () => {
  it.each([
    ['on', 'status', ['status'], { kind: 'state', state: 'on' }],
    ['off', 'status', ['status'], { kind: 'state', state: 'off' }],
    ['off', 'on', ['status', 'on'], { kind: 'told', detail: 'Chassis Power Control: on' }],
    ['on', 'on', ['status'], { kind: 'told', detail: 'is on already' }],
    ['on', 'off', ['status', 'off'], { kind: 'told', detail: 'Chassis Power Control: off' }],
    ['on', 'shutdown', ['status', 'soft'], { kind: 'told', detail: 'Chassis Power Control: soft' }],
    ['on', 'cycle', ['status', 'cycle'], { kind: 'told', detail: 'Chassis Power Control: cycle' }],
    ['off', 'cycle', ['status', 'on'], { kind: 'told', detail: 'Chassis Power Control: on' }],
  ] as const)('a machine that is %s, %s: %j', async (state, order, asked, outcome) => {
    at(state);
    const before = tool.calls().length;
    expect(await orderByIpmi(power, order, directory)).toEqual(outcome);
    const calls = tool.calls().slice(before);
    expect(calls).toEqual(asked.map((word) => ['-I', 'lanplus', '-H', '10.9.0.1', '-U', 'admin', '-f', passwordFile, 'chassis', 'power', word]));
    expect(JSON.stringify(calls)).not.toContain('geheim');
  });

  it('says why ipmitool failed', async () => {
    writeFileSync(passwordFile, 'wrong\n');
    await expect(orderByIpmi(power, 'on', directory)).rejects.toThrow(/ipmitool ended with 1:\s+RAKP 2 HMAC is invalid/);
  });

  it.each([
    ['is open to others', () => chmodSync(passwordFile, 0o644), /others may read/],
    ['is empty', () => writeFileSync(passwordFile, '\n'), /first line .* is empty/],
  ])('refuses a password file that %s', async (_name, spoil, complaint) => {
    spoil();
    const before = tool.calls().length;
    await expect(orderByIpmi(power, 'on', directory)).rejects.toThrow(complaint);
    expect(tool.calls().length).toBe(before);
  });

  it('names what farm.yaml does not say', async () => {
    await expect(orderByIpmi({ kind: 'ipmi', user: 'admin' }, 'on', directory)).rejects.toThrow('`power.ipmi` has no address, no password_file');
    await expect(orderByIpmi({ ...power, password_file: 'nowhere' }, 'on', directory)).rejects.toThrow(/there is no password file/);
  });

  it('takes nothing else for a state', () => {
    expect(stateIn('Chassis Power is onn\n')).toBe('unknown');
  });
});
