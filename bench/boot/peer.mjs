// The peer as a `serve` command of the lab: dnsmasq, rpcbind and nfs-ganesha, and what notes how far the nodes say they are. It logs as
// `farm serve` does, event for event, so that one reader times both sides. node peer.mjs SETTINGS, see peer-side.mjs.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { openLog } from '../../dist/base/log.js';
import { parseAgentReport, reportPath } from '../../dist/cluster/report.js';
import { lineSplitter } from '../../dist/lab/lines.js';

const settings = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const log = openLog('json', process.stdout);
const children = [];

/** Starts a program; its lines go to `onLine` and, for people, to stderr. Settles with the first line that matches `ready`. */
function start(command, args, ready, onLine) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  children.push(child);
  return new Promise((resolve, reject) => {
    const receive = (line) => {
      process.stderr.write(`${line}\n`);
      onLine(line);
      if (ready.test(line)) resolve();
    };
    child.stdout.on('data', lineSplitter(receive));
    child.stderr.on('data', lineSplitter(receive));
    child.on('error', reject);
    child.on('exit', (code, signal) => end(`${command} ended with ${signal ?? `status ${code}`}`));
  });
}

let ending = false;

/** Ends with status 2, but 0 if nothing went wrong. rpcbind ends with the lab's namespace. */
function end(wrong) {
  if (ending) return;
  ending = true;
  log(wrong === undefined ? 'info' : 'error', 'serve.ended', { error: wrong });
  for (const child of children) child.kill('SIGKILL'); // nothing of it is used again
  process.exit(wrong === undefined ? 0 : 2);
}

function startDnsmasq() {
  return start('dnsmasq', ['--keep-in-foreground', '--log-facility=-', `--conf-file=${settings.dnsmasq}`], /started, version/, (line) => {
    const [, event, mac] = /DHCP(OFFER|ACK)\(\S+\) \S+ ([0-9a-f:]{17})/.exec(line) ?? [];
    if (event !== undefined) log('info', `dhcp.${event.toLowerCase()}`, { mac });
    const [, file, client] = /: sent (\S+) to (\S+)$/.exec(line) ?? [];
    if (file !== undefined) log('info', 'tftp.done', { client, file });
  });
}

/** nfs-ganesha does not start without rpcbind, whose socket has a fixed name in /run: one of their own, so that the host's is left alone. */
function startGanesha() {
  const inside = 'mount -t tmpfs tmpfs /run && rpcbind && exec "$0" "$@"';
  const ganesha = ['ganesha.nfsd', '-F', '-f', settings.ganesha, '-p', settings.pidFile, '-L', 'STDOUT', '-N', 'NIV_EVENT'];
  return start('unshare', ['--mount', 'sh', '-c', inside, ...ganesha], /NFS SERVER INITIALIZED/, () => {});
}

/** With -vvv busybox says for each connection (its client's address and port) what was asked, what was answered, and when it was closed. */
async function startHttpd({ port, directory }) {
  const asked = new Map();
  const begun = start('busybox', ['httpd', '-f', '-vvv', '-p', `${settings.address}:${port}`, '-h', directory], /^never$/, (line) => {
    const [, connection, client, what, value] = /^((?:\[::ffff:)?([\d.]+)\]?:\d+): ?(url|response|closed):?(.*)$/.exec(line) ?? [];
    if (what === 'url') asked.set(connection, { client, method: 'GET', path: value });
    if (what === 'response') Object.assign(asked.get(connection) ?? {}, { status: Number(value) });
    if (what === 'closed') log('info', 'http.done', asked.get(connection));
  });
  // It says nothing when it is ready; it listens before dnsmasq has answered anybody.
  begun.catch((error) => end(error.message));
}

/** Takes the stages of initramfs and agent, by the rules of farm serve. */
function startCollector() {
  const stages = new Map();
  const server = createServer(async (request, response) => {
    const node = settings.machines.find(({ address }) => address === request.socket.remoteAddress);
    const url = new URL(request.url, 'http://peer');
    const chunks = await request.toArray();
    let status = 200;
    if (node === undefined) status = 403;
    else if (url.pathname === '/stage') {
      log('info', 'node.stage', { node: node.name, stage: url.searchParams.get('stage'), detail: url.searchParams.get('detail') });
    } else if (url.pathname === reportPath) {
      const report = parseAgentReport(JSON.parse(Buffer.concat(chunks).toString()));
      if (report.id !== node.id || report.name !== node.name) status = 409;
      else if (stages.get(node.name) !== report.stage) log('info', 'node.stage', { node: node.name, stage: report.stage, detail: report.system });
      stages.set(node.name, report.stage);
    } else status = 404;
    response.writeHead(status).end('noted\n');
  });
  return new Promise((resolve, reject) => server.on('error', reject).listen(80, settings.address, resolve));
}

for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => end());
try {
  if (settings.http !== undefined) await startHttpd(settings.http);
  await Promise.all([startCollector(), startGanesha(), startDnsmasq()]);
  log('info', 'serve.ready', { pid: process.pid });
} catch (error) {
  end(error.message);
}
