import { describe, expect, it } from 'vitest';
import { ipv4 } from '../../src/base/addresses.ts';
import { fittingBlock } from '../../src/tftp/mtu.ts';

describe('the largest block', () => {
  it('of loopback is as large as blocks may be', () => {
    expect(fittingBlock(ipv4('127.0.0.1'))).toBe(65_464);
  });

  it('of an address that no interface has fits into an Ethernet frame', () => {
    expect(fittingBlock(ipv4('192.0.2.1'))).toBe(1468);
  });
});
