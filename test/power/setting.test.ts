// `power:` of farm.yaml, and what nodes have from their profiles.
import { describe, expect, it } from 'vitest';
import { sentence } from '../../src/base/errors.ts';
import { parseFarm } from '../../src/farm/config.ts';

function powerOf(profiles: string, node: string): unknown {
  const text = `name: lab
networks: { main: { interface: eth1, address: 10.11.0.1/24 } }
profiles: ${profiles}
nodes:
  n1: { id: 1, mac: "52:54:00:00:00:01", ip: 10.11.0.10${node} }
`;
  try {
    const [only] = parseFarm(text, '/lab').nodes;
    return [only?.profile.power, only?.profile.origins['power']];
  } catch (error) {
    return sentence(error);
  }
}

const bmc = '{ default: { power: { ipmi: { user: admin, password_file: bmc } } } }';

describe('`power` of a node', () => {
  it.each([
    ['{ default: {} }', '', [{ kind: 'wol' }, 'default']],
    ['{ default: { power: wol } }', '', [{ kind: 'wol' }, 'profile default']],
    [bmc, '', [{ kind: 'ipmi', user: 'admin', password_file: 'bmc' }, 'profile default']],
    [bmc, ', power: { ipmi: { address: 10.9.0.1 } }', [{ kind: 'ipmi', user: 'admin', password_file: 'bmc', address: '10.9.0.1' }, 'node n1']],
    [bmc, ', power: { ipmi: { address: bmc1, user: me } }', [{ kind: 'ipmi', user: 'me', password_file: 'bmc', address: 'bmc1' }, 'node n1']],
    [bmc, ', power: wol', [{ kind: 'wol' }, 'node n1']],
    [bmc, ', power: { redfish: { address: "bmc1:8443", insecure: true } }', [{ kind: 'redfish', address: 'bmc1:8443', insecure: true }, 'node n1']],
  ])('%s%s', (profiles, node, expected) => {
    expect(powerOf(profiles, node)).toEqual(expected);
  });

  it.each([
    [', power: wole', /nodes\.n1\.power.*wole.*wol/s],
    [', power: {}', /expected one of wol, ipmi, redfish/],
    [', power: { wol: {}, ipmi: {} }', /expected one of wol, ipmi, redfish/],
    [', power: { ipmi: { adress: x } }', /adress.*address/s],
    [', power: { ipmi: { address: "-x" } }', /expected the address or the name of the management controller/],
    [', power: { ipmi: { address: 10.9.0.1, password: secret } }', /power\.ipmi\.password: there is no such key/],
  ])('is refused: %s', (node, complaint) => {
    expect(powerOf('{ default: {} }', node)).toMatch(complaint);
  });
});
