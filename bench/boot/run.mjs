// npm run bench:boot: power-on to `up`, ours next to dnsmasq + nfs-ganesha. Makes the clone ready, then runs the benchmark; needs root.
import { benchPackages, bootPackages, ready } from '../../scripts/ready.mjs';

ready([...bootPackages, ...benchPackages]);
const { bench } = await import('./bench.mjs'); // which imports what was just compiled
process.exitCode = await bench(process.argv.slice(2));
