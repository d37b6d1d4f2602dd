// The view of a booting farm: what its lines say, and how they are drawn over or logged.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type MachineStage, openStages, renderStages, stages } from '../../src/lab/stages.ts';

const n1: MachineStage = { name: 'n1', stage: 'DHCP', since: 1000, detail: '' };

describe('a machine’s line', () => {
  test('shows its stage, how far it is, its seconds and what it does', () => {
    expect(
      renderStages(
        [
          { ...n1, detail: 'asks' },
          { ...n1, name: 'n20', stage: 'kernel', progress: 0.5, detail: 'vmlinuz 4.1 of 8.2 MB' },
          { ...n1, stage: 'up', until: 42_900, detail: '10.11.0.11' },
        ],
        13_400,
        80,
      ),
    ).toEqual([
      'n1   ░░░░░░░░░░░░░░░░░░  DHCP     12 s  asks',
      'n20  █████████░░░░░░░░░  kernel   12 s  vmlinuz 4.1 of 8.2 MB',
      'n1   ██████████████████  up       41 s  10.11.0.11',
    ]);
  });

  test('more machines than rows leave out those that are up, and count', () => {
    const farm = Array.from({ length: 9 }, (_, index): MachineStage => ({ ...n1, name: `n${index + 1}`, stage: index < 4 ? 'up' : 'root' }));
    const lines = renderStages(farm, 1000, 80, 4);
    expect(lines.map((line) => line.slice(0, 2))).toEqual(['n5', 'n6', 'n7', '4 ']);
    expect(lines[3]).toBe('4 of 9 up, 2 more on their way');
  });

  test('never is wider than the terminal, nor moves its cursor', () => {
    const machine = fc.record({
      name: fc.string({ unit: 'binary' }),
      stage: fc.constantFrom(...stages),
      since: fc.integer(),
      detail: fc.string({ unit: 'binary' }),
      progress: fc.option(fc.double(), { nil: undefined }),
    });
    fc.assert(
      fc.property(fc.array(machine, { maxLength: 8 }), fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1, max: 9 }), (farm, width, rows) => {
        const lines = renderStages(farm, 0, width, rows);
        expect(lines.length).toBeLessThanOrEqual(rows);
        for (const line of lines) {
          expect(Array.from(line).length).toBeLessThanOrEqual(width);
          expect(line).not.toMatch(/\p{Cc}/u);
        }
      }),
    );
  });
});

describe('the view', () => {
  function output(isTTY: boolean) {
    const written: string[] = [];
    return { written, out: { isTTY, columns: 60, rows: 10, write: (text: string) => written.push(text) } };
  }

  test('on a terminal draws over what it drew, with notes above', () => {
    const { written, out } = output(true);
    const view = openStages(out, { now: () => 1000 });
    view.update([n1, { ...n1, name: 'n2' }]);
    view.note('the server was killed');
    view.close();
    expect(written).toHaveLength(3);
    const seen = written.map((text) => text.replaceAll('\x1b', 'ESC'));
    expect(seen[0]).toMatch(/^ESC\[0Jn1 .*\nn2 .*\n$/);
    expect(seen[1]).toMatch(/^ESC\[2AESC\[0Jthe server was killed\nn1 .*\nn2 .*\n$/);
  });

  test('elsewhere writes one line for a change of stage or detail, and none for progress', () => {
    const { written, out } = output(false);
    const view = openStages(out, { now: () => 6000 });
    view.update([n1]);
    view.update([{ ...n1, progress: 0.5 }]);
    view.update([{ ...n1, stage: 'loader', detail: 'undionly.kpxe' }]);
    view.note('done');
    view.close();
    expect(written).toEqual(['n1: DHCP, 5 s\n', 'n1: loader, 5 s, undionly.kpxe\n', 'done\n']);
  });
});
