// Options as people write them in farm.yaml: names, types, bytes, complaints; and that docs/reference/dhcp-options.md says the same.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FarmError } from '../../src/base/errors.ts';
import { answer } from '../../src/dhcp/answer.ts';
import { optionNames, ownedOptions, parseCustomOption } from '../../src/dhcp/custom-options.ts';
import { knownOptions } from '../../src/dhcp/known-options.ts';
import { optionTypes } from '../../src/dhcp/option-values.ts';
import { option } from '../../src/dhcp/options.ts';
import { farmOf, kernelFile, message, node, pxeRom, request, wants } from './packets.ts';

test.each([
  ['ntp-servers', ['10.11.0.1', '10.11.0.2'], 42, '0a0b00010a0b0002'],
  ['ntp-servers', '10.11.0.1', 42, '0a0b0001'],
  ['ntp-server', '10.11.0.1', 42, '0a0b0001'],
  ['42', '10.11.0.1', 42, '0a0b0001'],
  ['swap-server', '10.11.0.1', 16, '0a0b0001'],
  ['default-ip-ttl', 64, 23, '40'],
  ['interface-mtu', 9000, 26, '2328'],
  ['mtu', 9000, 26, '2328'],
  ['arp-cache-timeout', 4294967295, 35, 'ffffffff'],
  ['time-offset', -3600, 2, 'fffff1f0'],
  ['ip-forwarding', true, 19, '01'],
  ['ip-forwarding', false, 19, '00'],
  ['domain-name', 'farm.lan', 15, Buffer.from('farm.lan').toString('hex')],
  ['252', 'http://wpad/', 252, Buffer.from('http://wpad/').toString('hex')],
  ['230', 'hello', 230, '68656c6c6f'],
  ['230', 'hex:de:ad be-ef', 230, 'deadbeef'],
  ['vendor-encapsulated-options', '06:01:08:ff', 43, '060108ff'],
  ['path-mtu-plateau-table', [68, 1500], 25, '004405dc'],
  ['static-routes', ['10.12.0.0 10.11.0.1'], 33, '0a0c00000a0b0001'],
  ['domain-search', ['eng.apple.com', 'b.org.'], 119, '03656e67056170706c6503636f6d000162036f726700'],
  ['classless-static-routes', ['10.17.0.0/16 10.27.129.1', 'default 10.27.129.1'], 121, '100a110a1b8101000a1b8101'],
  ['classless-static-routes', ['10.229.0.128/25 via 10.229.0.1'], 121, '190ae500800ae50001'],
  ['vendor-x', { code: 224, type: 'u16', value: 5 }, 224, '0005'],
  ['vendor-y', { code: 225, value: 'text' }, 225, '74657874'],
  ['wpad', { type: 'hex', value: '00' }, 252, '00'],
  ['forcerenew-nonce-capable', '', 145, ''],
] as const)('%s: %j', (name, value, code, hex) => {
  const made = parseCustomOption(name, value);
  expect([made.code, made.value.toString('hex'), made.always]).toEqual([code, hex, false]);
});

test('always', () => {
  expect(parseCustomOption('ntp-servers', { value: '10.11.0.1', always: true })).toMatchObject({ code: 42, always: true });
});

test.each([
  ['no-such-option', 'x', 'there is no option "no-such-option"'],
  ['300', 'x', '300 is no option code'],
  ['53', 5, 'option message-type(53) cannot be set: it says which message this is'],
  ['82', 'x', 'option relay-agent-information(82) cannot be set: relays send it'],
  ['255', 'x', 'option option(255) cannot be set: it ends the list'],
  ['lease-time', 60, 'option lease-time(51) cannot be set: set lease_time instead'],
  ['ntp-servers', 'ntp.org', 'option ntp-servers(42) has "ntp.org", which is not an IPv4 address'],
  ['ntp-servers', [], 'option ntp-servers(42) has an empty list'],
  ['ntp-servers', undefined, 'option ntp-servers(42) has nothing, which is not an IPv4 address'],
  ['default-ip-ttl', 256, 'option default-ip-ttl(23) has 256, which is not a whole number from 0 to 255'],
  ['default-ip-ttl', '64', 'option default-ip-ttl(23) has "64", which is not a whole number from 0 to 255'],
  ['interface-mtu', 1.5, 'option interface-mtu(26) has 1.5, which is not a whole number from 0 to 65535'],
  ['ip-forwarding', 1, 'option ip-forwarding(19) has 1, which is not true or false'],
  ['domain-name', '', 'option domain-name(15) has "", which is not text'],
  ['domain-name', 'a\0b', 'option domain-name(15) has "a\\u0000b", which is not text'],
  ['domain-search', ['-x'], 'option domain-search(119) has "-x", which is not a domain name'],
  ['domain-search', `${'a.'.repeat(130)}a`, 'which is not a domain name'],
  ['classless-static-routes', ['10.0.0.0/33 10.0.0.1'], 'which is not a network and a router'],
  ['static-routes', ['10.12.0.0'], 'which is not two addresses'],
  ['vendor-encapsulated-options', 'abc', 'which is not bytes in hex'],
  ['230', 5, 'the type of option 230 is not known'],
  ['230', 'x'.repeat(2000), 'option option(230) has 2000 bytes'],
  ['vendor-x', { code: 224, type: 'float', value: 5 }, '"float" is no type of option'],
  ['vendor-x', { code: 224, type: 'u16', value: 5, sometimes: true }, 'an option has no "sometimes"'],
  ['vendor-x', { code: 0.5, type: 'u16', value: 5 }, '0.5 is no option code'],
  ['ntp-servers', { code: 43, value: '10.0.0.1' }, 'option "ntp-servers" has the code 42'],
  ['ntp-servers', { value: '10.0.0.1', always: 'yes' }, '"always" is true or false'],
] as const)('%s: %j is refused', (name, value, complaint) => {
  let error: unknown;
  try {
    parseCustomOption(name, value);
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toBeInstanceOf(FarmError);
  expect(error).toMatchObject({ code: 'dhcp.option', message: expect.stringContaining(complaint), hint: expect.any(String) });
});

test('whatever stands there, it is an option or a FarmError', () => {
  const names = fc.oneof(fc.constantFrom(...optionNames()), fc.nat(300).map(String), fc.string());
  fc.assert(
    fc.property(names, fc.anything(), (name, value) => {
      try {
        const made = parseCustomOption(name, value);
        expect(ownedOptions.has(made.code)).toBe(false);
      } catch (error) {
        if (!(error instanceof FarmError)) throw error;
      }
    }),
    { numRuns: 2000 },
  );
});

test('no name or code stands for two options', () => {
  expect(optionNames().length).toBe(new Set(optionNames()).size);
  const codes = knownOptions.map(({ code }) => code);
  expect(codes).toEqual([...new Set(codes)].sort((a, b) => a - b));
});

describe('in replies', () => {
  const farm = (...written: [string, unknown][]) => {
    const options = written.map(([name, value]) => parseCustomOption(name, value));
    return farmOf({ ...node, leaseSeconds: 100, options }, kernelFile);
  };
  const sent = (asked: Parameters<typeof answer>[0], context: ReturnType<typeof farmOf>): [number, string][] => {
    const said = answer(asked, context);
    if (said.kind !== 'reply') throw new Error('silence');
    return [...said.packet.options].slice(1).map(([code, value]) => [code, value.toString('hex')]);
  };
  const value = (asked: Parameters<typeof answer>[0], context: ReturnType<typeof farmOf>, code: number) => new Map(sent(asked, context)).get(code);
  const ntp: [string, unknown] = ['ntp-servers', '10.11.0.1'];

  test('they go to clients that ask', () => {
    expect(value(message('discover', [wants(1, 42)]), farm(ntp), 42)).toBe('0a0b0001');
    expect(value(message('discover', [wants(1)]), farm(ntp), 42)).toBeUndefined();
  });
  test('they go to all if always, and to clients that do not say what they want', () => {
    expect(value(message('discover', [wants(1)]), farm(['ntp-servers', { value: '10.11.0.1', always: true }]), 42)).toBe('0a0b0001');
    expect(value(message('discover'), farm(ntp), 42)).toBe('0a0b0001');
    expect(value(request([]), farm(['time-servers', { value: '10.11.0.1', always: true }]), 4)).toBe('0a0b0001');
  });
  test('they come before what follows from the network', () => {
    expect(value(message('discover', [wants(3)]), farm(['routers', '10.11.0.9']), 3)).toBe('0a0b0009');
    expect(value(message('discover', [wants(58)]), farm(['t1', 7]), 58)).toBe('00000007');
  });
  test('T1 is for leases alone', () => {
    expect(value(message('inform', [wants(58)], { ciaddr: node.address }), farm(['t1', 7]), 58)).toBeUndefined();
  });
  test('66 and 67 are for clients that the farm boots nothing on: never a mixture', () => {
    const written: [string, unknown][] = [['tftp-server-name', 'phones.lan'], ['boot-file-name', 'phone.cfg']]; // biome-ignore format: a pair
    const booting = farm(...written);
    const others = { ...booting, questions: { ...booting.questions, bootFile: () => undefined } };
    const asked = message('discover', [...pxeRom, wants(66, 67)]);
    const text = (code: number, context: typeof booting) => Buffer.from(value(asked, context, code) ?? '', 'hex').toString();
    expect([text(66, others), text(67, others)]).toEqual(['phones.lan', 'phone.cfg']);
    expect([text(66, booting), text(67, booting)]).toEqual(['10.11.0.1', 'undionly.kpxe']);
  });
  test('43 is for clients that need none of ours', () => {
    const written = farm(['43', '010203']);
    expect(value(message('discover', [...pxeRom, wants(43)]), written, 43)).toBe('060108ff');
    expect(value(message('discover', [wants(43)]), written, 43)).toBe('010203');
  });
});

describe('docs/reference/dhcp-options.md', () => {
  const page = readFileSync(fileURLToPath(new URL('../../docs/reference/dhcp-options.md', import.meta.url)), 'utf8');
  const rows = page.split('\n').filter((line) => line.startsWith('| '));

  test('has every option that can be set, with its type and its other names', () => {
    const expected = knownOptions
      .filter(({ code }) => !ownedOptions.has(code))
      .map(({ code, name, type, aliases }) => `| ${code} | \`${name}\` | ${type} | ${aliases.map((alias) => `\`${alias}\``).join(', ')} |`);
    expect(rows.filter((row) => /^\| \d+ \| `[^`]+` \| [a-z]/.test(row))).toEqual(expected);
  });
  test('has every option that cannot, with the reason', () => {
    const expected = [...ownedOptions].map(([code, reason]) => `| ${code} | ${reason} |`);
    expect(rows.filter((row) => expected.includes(row))).toEqual(expected);
  });
  test('has every type', () => {
    const expected = Object.entries(optionTypes).map(([type, what]) => `| \`${type}\` | ${what} |`);
    expect(rows.filter((row) => expected.includes(row))).toEqual(expected);
  });
});

test('an option that a client sends us is not one of the catalogue alone', () => {
  for (const code of Object.values(option)) expect(knownOptions.some((known) => known.code === code)).toBe(true);
});
