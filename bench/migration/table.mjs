// What was measured as a table, and as `fixed + per MB`: the line through the smallest and the largest size.

const head = ['MiB', 'memory', 'MB/s written', 'link MB/s', 'way', 'total s', 'stood still s', 'MB sent', 'rounds', 'MB/s', 'of the link'];

/** `found`: answers of the node's `compare`. */
export function table(found) {
  const rows = found.flatMap((one) => {
    const link = (one.link[0] + one.link[1]) / 2;
    const row = (way, total, frozen, sent, rounds) => {
      const speed = (one.size * 2 ** 20) / total / 1000;
      return [
        one.size,
        one.kind,
        one.writes.toFixed(1),
        link.toFixed(1),
        way,
        seconds(total),
        seconds(frozen),
        sent,
        rounds,
        speed.toFixed(1),
        percent(speed / link),
      ];
    };
    const moved = (way, figures) => (figures === undefined ? [] : [row(way, figures.total, figures.frozen, (figures.sent / 1e6).toFixed(1), figures.rounds)]);
    return [...moved('with pre-copy', one.precopy), ...moved('frozen at once', one.plain), row('by hand', one.byHand.total, one.byHand.total, '', '')];
  });
  const lines = [head, head.map(() => '---:'), ...rows].map((cells) => `| ${cells.join(' | ')} |`);
  return `${lines.join('\n')}\n\n${fits(found).join('\n')}\n`;
}

/** Of each kind of memory and each way. */
function fits(found) {
  return [...new Set(found.map(({ kind }) => kind))].flatMap((kind) => {
    const own = found.filter((one) => one.kind === kind);
    const [small, large] = [own.at(0), own.at(-1)];
    if (small === large) return [];
    const link = own.flatMap((one) => one.link).reduce((sum, rate) => sum + rate, 0) / (2 * own.length);
    return ['precopy', 'plain', 'byHand'].flatMap((way) => {
      if (large[way] === undefined || small[way] === undefined) return [];
      const perMegabyte = (large[way].total - small[way].total) / ((large.size - small.size) * 1.048576);
      const fixed = small[way].total - perMegabyte * small.size * 1.048576;
      return [`${kind}, ${way}: ${seconds(fixed)} s + ${perMegabyte.toFixed(1)} ms a MB (${percent(1000 / perMegabyte / link)} of the link)`];
    });
  });
}

function seconds(milliseconds) {
  return (milliseconds / 1000).toFixed(2);
}

function percent(part) {
  return `${Math.round(part * 100)} %`;
}
