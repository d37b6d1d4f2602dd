// Time-boxed fuzzing: one second, or FUZZ_SECONDS of the environment.
import fc from 'fast-check';

export function untilFuzzed<Value>(arbitrary: fc.Arbitrary<Value>, check: (value: Value) => void): void {
  const milliseconds = Number(process.env['FUZZ_SECONDS'] ?? 1) * 1000;
  fc.assert(fc.property(arbitrary, check), { numRuns: Number.MAX_SAFE_INTEGER, interruptAfterTimeLimit: milliseconds, markInterruptAsFailure: false });
}
