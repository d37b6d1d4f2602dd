// Lease time against clocks that are set.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { advanceLeaseTime, leaseNow, startLeaseTime } from '../../src/dhcp/lease-time.ts';

const hour = 3_600_000;
const year = 8766 * hour;
const noon = 60 * year;

/** The clock's error at each hour of a server's life, and how far lease time has come at the end. */
const cases: readonly { readonly name: string; readonly errors: readonly number[]; readonly passed: number }[] = [
  { name: 'a clock that nobody sets', errors: [0, 0, 0], passed: 2 * hour },
  { name: 'a clock that is set back: time goes on at its pace', errors: [0, -5 * hour, -5 * hour], passed: 2 * hour },
  { name: 'a clock that jumps a year and back: no lease lives for a year, time goes on at its pace', errors: [0, year, 0, 0], passed: year + 3 * hour },
  { name: 'a clock that is a year behind for a while: nothing expires by its correction', errors: [0, -year, 0, 0], passed: 3 * hour },
  { name: 'a machine that was suspended for five hours: they count', errors: [0, 5 * hour, 5 * hour], passed: 7 * hour },
];

describe('lease time', () => {
  it.each(cases)('$name', ({ errors, passed }) => {
    let time = startLeaseTime(noon, 0, undefined);
    for (const [hours, error] of errors.entries()) time = advanceLeaseTime(time, noon + hours * hour + error, hours * hour);
    expect(leaseNow(time) - noon).toBe(passed);
  });

  it('never goes back, and never loses time that has passed', () => {
    const look = fc.record({ passed: fc.nat({ max: 1000 }), error: fc.integer({ min: -5000, max: 5000 }) });
    fc.assert(
      fc.property(fc.array(look), (looks) => {
        let time = startLeaseTime(noon, 0, undefined);
        let elapsed = 0;
        for (const { passed, error } of looks) {
          const before = leaseNow(time);
          elapsed += passed;
          time = advanceLeaseTime(time, noon + elapsed + error, elapsed);
          expect(leaseNow(time)).toBeGreaterThanOrEqual(before + passed);
        }
      }),
    );
  });

  it('counts the time that the server did not run', () => {
    expect(leaseNow(startLeaseTime(noon + hour, 0, noon))).toBe(noon + hour);
  });

  it('goes on where the journal ends if the clock has been set back meanwhile', () => {
    expect(leaseNow(startLeaseTime(noon - year, 0, noon))).toBe(noon);
  });

  it('catches up without expiring anything when a clock without battery is set after the start', () => {
    const start = startLeaseTime(0, 0, noon);
    const set = advanceLeaseTime(start, noon + hour, 1000);
    expect(leaseNow(set)).toBe(noon + hour);
  });
});
