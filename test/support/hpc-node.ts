// Runs on a node in a boot test: /hpc of a made-up cluster, served and mounted as the agent does it. Bundled; says `ready` on stdout.

import { startHpc } from '../../src/agent/hpc/server.ts';
import { openAgentLog } from '../../src/agent/log.ts';
import { HpcCluster } from './hpc-cluster.ts';

const [mountPoint = '/hpc', port = '4661'] = process.argv.slice(2);
const log = openAgentLog(process.stderr, false);
const cluster = new HpcCluster();
const service = await startHpc(cluster, { log, port: Number(port), mountPoint, key: Buffer.from('the same in every start') });
process.stdout.write('ready\n');
// A value that changes every second, as a load does.
const ticking = setInterval(() => cluster.change(2, { load: (cluster.list[1]?.load ?? 0) + 1 }), 1000);
process.once('SIGTERM', () => {
  clearInterval(ticking);
  void service.close().then(() => process.exit(0));
});
