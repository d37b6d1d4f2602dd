// The Debian package on a Debian 13 whose first program is systemd: the service started, stopped, crashed and begun by its sockets, with a DHCP client of busybox to
// say whether it answers. The machine's network is all its own: a card of the server's and one of a client's in a namespace.
import { execFileSync } from 'node:child_process';
import { mkdirSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ip, makeSpaces, removeSpaces } from '../interop/namespaces.ts';
import { makeFarm } from '../support/farm-under-test.ts';
import { Guest } from '../support/guest.ts';

const top = fileURLToPath(new URL('../..', import.meta.url));
const space = `service${process.pid % 10_000}`;
const mac = '52:54:00:dd:00:02';

/** Seconds. An emulated Node.js alone takes ten to begin where others want the processors, too. */
const slow = 150;

let guest: Guest;

beforeAll(async () => {
  const directory = makeFarm('service-test');
  const image = realpathSync(join(directory, 'images/debian-13/current'));
  const scratch = join(directory, 'guest');
  const files = join(scratch, 'files');
  mkdirSync(join(files, 'root'), { recursive: true });
  const deb = execFileSync(process.execPath, [join(top, 'scripts/package-deb.mjs'), '--out', scratch], { cwd: top, encoding: 'utf8' }).trim();
  execFileSync('cp', [deb, join(files, 'root/farm.deb')]);
  execFileSync('tar', ['-C', files, '-cf', join(scratch, 'files.tar'), 'root/farm.deb']);
  makeSpaces([space]);
  ip('-n', space, 'tuntap', 'add', 'tap0', 'mode', 'tap');
  ip('-n', space, 'link', 'set', 'tap0', 'up');
  const options = { image, files: join(scratch, 'files.tar'), space, tap: 'tap0', mac, address: '10.99.0.2/24', memoryMiB: 1024, systemd: true, scratch };
  guest = await Guest.start(options);
  await guest.run(
    `cat > /root/bound <<'END'
#!/bin/sh
[ "$1" = bound ] && echo "$ip from $serverid"
exit 0
END
     chmod 755 /root/bound
     ip netns add client
     ip link add farm0 type veth peer name c0 netns client
     ip -n client link set c0 address 52:54:00:11:00:01 up
     ip link set farm0 up
     ip addr add 10.44.0.1/24 dev farm0`,
  );
}, 300_000);

afterAll(async () => {
  await guest?.off();
  removeSpaces([space]);
});

/** What the client in the namespace is given. */
async function leased(card = 'c0'): Promise<string> {
  return guest.run(`ip netns exec client /busybox udhcpc -i ${card} -n -q -f -t 8 -T 2 -s /root/bound 2>/dev/null`, slow);
}

async function shown(...names: readonly string[]): Promise<readonly string[]> {
  const text = await guest.run(`systemctl show farm -p ${names.join(',')}`);
  const values = new Map(text.split('\n').map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));
  return names.map((name) => values.get(name) ?? '');
}

/** Until systemd says so of the service. */
async function until(condition: string): Promise<void> {
  // In a shell of its own, which may end. Each question takes the emulated processor from what is waited for.
  await guest.run(
    `(i=0; until ${condition}; do i=$((i+1)); [ $i -lt 100 ] || { journalctl -u farm -n 30 --no-pager | cut -c1-250; exit 1; }; sleep 1; done)`,
    slow,
  );
}

describe('the packaged service under systemd', () => {
  it('is installed, and started by nobody; without a farm it says what it misses', async () => {
    expect(await guest.run('cat /proc/1/comm; dpkg -i --force-depends /root/farm.deb >/root/dpkg 2>&1; dpkg -s farm | grep ^Status', slow)).toBe(
      'systemd\nStatus: install ok installed',
    );
    expect(await guest.run('systemd-analyze verify /usr/lib/systemd/system/farm.service 2>&1 | grep farm | grep -v "man farm" || true', slow)).toBe('');
    expect(await shown('LoadState', 'ActiveState')).toEqual(['loaded', 'inactive']);
    expect(await guest.run('systemctl start farm 2>&1 || systemctl status farm | cat')).toMatch(/[Aa]ssert/);
  });

  it('is started when it answers, and not before', async () => {
    await guest.run(
      `farm init /srv/farm --name lab --interface farm0 --address 10.44.0.1/24 --range 10.44.0.10-10.44.0.99 >/dev/null
       sed -i 's/^nodes:.*/nodes:/' /srv/farm/farm.yaml
       echo '  n1: { id: 1, mac: "52:54:00:11:00:01", ip: 10.44.0.10 }' >> /srv/farm/farm.yaml`,
      slow,
    );
    await guest.run('systemctl start farm || { journalctl -u farm -n 40 --no-pager; false; }', slow);
    expect(await leased()).toBe('10.44.0.10 from 10.44.0.1');
    expect(await shown('ActiveState', 'SubState', 'NRestarts')).toEqual(['active', 'running', '0']);
    expect(await guest.run('systemctl status farm | cat')).toMatch(/Status: "ready, on \d+ sockets"/);
  });

  it('follows farm.yaml without a restart', async () => {
    const before = await shown('MainPID');
    await guest.run(
      `ip netns exec client ip link set c0 down
       ip netns exec client ip link set c0 address 52:54:00:11:00:02 up
       echo '  n2: { id: 2, mac: "52:54:00:11:00:02", ip: 10.44.0.77 }' >> /srv/farm/farm.yaml`,
    );
    expect(await leased()).toBe('10.44.0.77 from 10.44.0.1');
    expect(await shown('MainPID')).toEqual(before);
  });

  it('is begun again when it is killed, and when somebody wants it', async () => {
    const [first] = await shown('MainPID');
    await guest.run(`kill -KILL ${first}`);
    await until(`[ "$(systemctl show farm -p NRestarts --value)" -ge 1 ] && systemctl -q is-active farm`);
    expect(await leased()).toBe('10.44.0.77 from 10.44.0.1');
    // Its processes ended with it: systemd waits for all of a service before it begins it again.
    expect(await guest.run(`journalctl -u farm -o cat | grep -c 'timed out\\|Killing process' || true`)).toBe('0');
    const [second, restarts] = await shown('MainPID', 'NRestarts');
    expect(restarts).toBe('1');
    await guest.run('systemctl restart farm', slow);
    const [third, state] = await shown('MainPID', 'ActiveState');
    expect(new Set([first, second, third]).size).toBe(3);
    expect(state).toBe('active');
    await guest.run('systemctl stop farm', slow);
    expect(await shown('ActiveState', 'Result')).toEqual(['inactive', 'success']);
    expect(await guest.run('ss -Hlun sport = :67; ss -Hltn sport = :2049')).toBe('');
  });
});

describe('the units of farm unit', () => {
  it('run the server as a user with the rights that it needs', async () => {
    await guest.run(
      `useradd --system farm; chown -R farm: /srv/farm
       farm -C /srv/farm unit --user farm > /etc/systemd/system/farm.service
       systemctl daemon-reload
       systemctl start farm || { journalctl -u farm -n 40 --no-pager; false; }`,
      slow,
    );
    expect(await guest.run('ps -o user= -p $(systemctl show farm -p MainPID --value)')).toBe('farm');
    expect(await leased()).toBe('10.44.0.77 from 10.44.0.1');
    await guest.run('systemctl stop farm', slow);
  });

  it('open the sockets for one without, which the first packet begins', async () => {
    await guest.run(
      `farm -C /srv/farm unit --sockets --out /etc/systemd/system >/dev/null
       systemctl enable --now farm.socket farm-portmap.socket farm-dhcp-main.socket 2>/dev/null || true`,
      slow,
    );
    // The image has rpcbind, and that has port 111: the rest goes on.
    const states = 'systemctl is-active farm.socket farm-portmap.socket farm-dhcp-main.socket || true';
    expect(await guest.run(states)).toBe('active\nfailed\nactive');
    expect(await guest.run(`systemctl stop rpcbind.socket rpcbind.service; systemctl start farm-portmap.socket; ${states}`)).toBe('active\nactive\nactive');
    expect(await guest.run('systemd-analyze verify /etc/systemd/system/farm*.* 2>&1 | grep farm || true', slow)).toBe('');
    expect(await shown('ActiveState')).toEqual(['inactive']);
    expect(await leased()).toBe('10.44.0.77 from 10.44.0.1');
    await until('systemctl -q is-active farm');
    const CAP_NET_RAW = 13;
    expect(await guest.run('pid=$(systemctl show farm -p MainPID --value); ps -o user= -p $pid; grep CapEff /proc/$pid/status')).toBe(
      `farm\nCapEff:\t${(2 ** CAP_NET_RAW).toString(16).padStart(16, '0')}`,
    );
  });

  it('end with the package, and leave the farm', async () => {
    await guest.run(
      "systemctl stop 'farm*.socket'; rm /etc/systemd/system/farm.service; systemctl daemon-reload; dpkg -r farm >/root/dpkg 2>&1 || { cat /root/dpkg; false; }",
      slow,
    );
    expect(await guest.run('systemctl is-active farm || true; ls /usr/bin/farm 2>/dev/null | wc -l; ls /srv/farm/farm.yaml')).toBe(
      'inactive\n0\n/srv/farm/farm.yaml',
    );
  });
});
