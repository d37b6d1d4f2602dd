// The systemd service of a farm, line by line.
import { describe, expect, it } from 'vitest';
import { parseFarm } from '../../src/farm/config.ts';
import { unitText } from '../../src/farm/unit.ts';

function unit(user?: string, shared = '', directory = '/srv/lab'): readonly string[] {
  const text = `name: lab
networks: { main: { interface: eth1, address: 10.11.0.1/24 } }
profiles: { default: { ${shared} } }
`;
  return unitText(parseFarm(text, directory), { program: ['/usr/bin/node', '/usr/bin/farm'], user }).split('\n');
}
const network = 'CAP_NET_BIND_SERVICE CAP_NET_RAW CAP_NET_ADMIN';
const files = 'CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_FSETID CAP_MKNOD';

describe('the service', () => {
  it('runs the server for this farm, and may write there only', () => {
    expect(unit()).toEqual(
      expect.arrayContaining(['ExecStart=/usr/bin/node /usr/bin/farm -C /srv/lab serve', 'ReadWritePaths=/srv/lab', 'ProtectSystem=strict', 'PrivateTmp=yes']),
    );
  });

  it.each([
    ['root', undefined, '', `CapabilityBoundingSet=${network} ${files}`, undefined],
    ['a user', 'farm', '', `CapabilityBoundingSet=${network}`, `AmbientCapabilities=${network}`],
    ['a user with shared paths', 'farm', 'shared: [/home]', `CapabilityBoundingSet=${network} ${files}`, `AmbientCapabilities=${network} ${files}`],
  ])('gives %s the capabilities that are needed', (_name, user, shared, bounding, ambient) => {
    const lines = unit(user, shared);
    expect(lines).toContain(bounding);
    expect(lines.find((line) => line.startsWith('Ambient'))).toBe(ambient);
    expect(lines.includes(`User=${user}`)).toBe(user !== undefined);
  });

  it("lets a user read the server's password hashes only where farm.yaml wants them on nodes", () => {
    const lines = (wanted: string, user?: string): readonly string[] => {
      const text = `name: lab\nnetworks: { main: { interface: eth1, address: 10.11.0.1/24 } }\nusers_from_server: ${wanted}\n`;
      return unitText(parseFarm(text, '/srv/lab'), { program: ['/usr/bin/farm'], user }).split('\n');
    };
    expect(lines('{ uids: 1000-59999, passwords: true }', 'farm')).toContain('SupplementaryGroups=shadow');
    expect(lines('{ uids: 1000-59999, passwords: true }')).not.toContain('SupplementaryGroups=shadow');
    expect(lines('1000-59999', 'farm')).not.toContain('SupplementaryGroups=shadow');
  });

  it('lets device files be made only where nodes may make them', () => {
    expect(unit()).toContain('PrivateDevices=yes');
    expect(unit(undefined, 'shared: [/home]')).not.toContain('PrivateDevices=yes');
  });

  it.each([
    ['/srv/my lab', '"/srv/my lab"', '"/srv/my lab"'],
    ['/srv/50%', '/srv/50%%', '/srv/50%%'],
    ['/srv/$HOME', '/srv/$$HOME', '/srv/$HOME'],
    ['/srv/a"b\\c', '"/srv/a\\"b\\\\c"', '"/srv/a\\"b\\\\c"'],
  ])('writes the directory %s as systemd reads it', (directory, asWord, asPath) => {
    expect(unit(undefined, '', directory)).toEqual(
      expect.arrayContaining([`ExecStart=/usr/bin/node /usr/bin/farm -C ${asWord} serve`, `ReadWritePaths=${asPath}`]),
    );
  });

  it('sees a farm that is in /tmp', () => {
    expect(unit(undefined, '', '/tmp/lab')).not.toContain('PrivateTmp=yes');
  });
});
