// What Tab offers.
import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { bootCommand } from '../../src/cli/boot.ts';
import { completionCommand, completions } from '../../src/cli/completion.ts';
import { nodeCommand } from '../../src/cli/node.ts';
import { parseFarm } from '../../src/farm/config.ts';

const farm = parseFarm(
  `name: lab
networks: { main: { interface: eth1, address: 10.11.0.1/24 } }
profiles: { default: {}, gpu: {} }
nodes:
  n1: { id: 1, mac: "52:54:00:00:00:01", ip: 10.11.0.10, tags: [big] }
  n2: { id: 2, mac: "52:54:00:00:00:02", ip: 10.11.0.11 }
`,
  '/lab',
);
const program = new Command('farm').option('-C, --directory <dir>').addCommand(nodeCommand()).addCommand(bootCommand()).addCommand(completionCommand());
const offered = (line: string): string => completions(program, line.split(' '), () => farm).join(' ');

describe('the Tab key', () => {
  it.each([
    ['', 'node boot completion'],
    ['b', 'boot'],
    ['-C /srv/lab b', 'boot'],
    ['node s', 'show set'],
    ['node set ', 'all n1 n2 @big %default %gpu'],
    ['node set n1 @', '@big'],
    ['node list --f', '--fold'],
    ['node list -x n', 'n1 n2'],
    ['node import --format d', 'dhcpd dnsmasq'],
    ['node import --profile g', 'gpu'],
    ['node import l', ''],
    ['boot n2 --o', '--once'],
    ['completion z', 'zsh'],
    ['nonsense x', ''],
  ])('offers for %j: %s', (line, words) => {
    expect(offered(line)).toBe(words);
  });

  it('offers no nodes where there is no farm', () => {
    expect(completions(program, ['node', 'set', ''], () => undefined)).toEqual([]);
  });
});
