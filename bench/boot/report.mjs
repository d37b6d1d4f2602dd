// What the boots come to: for each number of machines and each stage the median and the slowest machine of each side, and ours by the peer's.
import { table } from '../../dist/cli/options.js';
import { stages } from './stages.mjs';

/** Where the NFS servers differ: what comes before is mostly firmware, and the same for both. */
const rows = [
  ...stages.map(({ name, title }) => ({ name, title, of: (seconds) => seconds[name] })),
  { name: 'root-to-up', title: 'root mounted to up', of: (seconds) => seconds.up - seconds.root },
];

/** One summary for each number of machines and each peer (every side but the first). All runs of a side count as one set of machines. */
export function summarise(boots, [ours, ...peers]) {
  const counts = [...new Set(boots.map(({ machines }) => machines))];
  return counts.flatMap((machines) =>
    peers.map((peer) => {
      const of = (side) => boots.filter((boot) => boot.side === side.name && boot.machines === machines);
      const seconds = (side) => of(side).flatMap(({ nodes }) => nodes.map((node) => node.seconds));
      const compared = rows.map(({ name, title, of: value }) => {
        const [own, theirs] = [ours, peer].map((side) => figures(seconds(side).map(value)));
        return { name, title, ours: own, peer: theirs, ratio: { median: own.median / theirs.median, max: own.max / theirs.max } };
      });
      const processorTime = { ours: meanTime(of(ours)), peer: meanTime(of(peer)) };
      return { machines, runs: of(ours).length, ours: ours.title, peer: peer.title, stages: compared, processorTime };
    }),
  );
}

function figures(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return { median: (sorted[Math.floor(middle)] + sorted[Math.ceil(middle)]) / 2, max: sorted.at(-1) };
}

/** Of the boots of one side. */
function meanTime(boots) {
  const mean = (of) => boots.reduce((sum, { processorTime }) => sum + of(processorTime), 0) / boots.length;
  return { servers: mean(({ servers }) => servers), machines: mean(({ machines }) => machines), others: mean(({ others }) => others) };
}

export function summaryText(summaries) {
  return summaries.map(oneText).join('\n');
}

/** The last is what disturbs: where it differs, so do the times above for no fault of the servers. */
const users = [
  ['servers', "the side's servers"],
  ['machines', 'the machines (QEMU)'],
  ['others', 'all else on this computer'],
];

function oneText({ machines, runs, ours, peer, stages: compared, processorTime }) {
  const head = `${machines} at once, ${runs} ${runs === 1 ? 'run' : 'runs'} a side, seconds from power-on (but the last line), median and slowest machine`;
  const cells = compared.map((row) => [
    row.title,
    ...[row.ours, row.peer].flatMap(({ median, max }) => [median.toFixed(2), max.toFixed(2)]),
    row.ratio.median.toFixed(2),
    row.ratio.max.toFixed(2),
  ]);
  const titles = ['STAGE', 'OURS', 'MAX', 'PEER', 'MAX', 'OURS/PEER', 'MAX'];
  const times = [
    ['PROCESSOR SECONDS OF A BOOT', 'OURS', 'PEER', 'OURS/PEER'],
    ...users.map(([name, title]) => {
      const { [name]: own } = processorTime.ours;
      const { [name]: theirs } = processorTime.peer;
      return [title, own.toFixed(1), theirs.toFixed(1), (own / theirs).toFixed(2)];
    }),
  ];
  return `${head}\n  ours: ${ours}\n  peer: ${peer}\n${table([titles, ...cells])}${table(times)}`;
}
