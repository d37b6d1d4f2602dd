// Shares the event loop: a storm of transfers sends so much in each turn of the loop, then others, DHCP first of all, get theirs.

/** After so many packets the loop gets its turn: with 10 us a packet about a millisecond. */
const turnPackets = 100;
/** A packet that IP cuts into fragments costs as much as several. */
const bytesPerPacket = 4096;
/** Of the transfers that wait for a turn, one's share before the next one's. */
const sharePackets = 16;

/** Sends one packet; its bytes, or 0 when there is nothing more to send now. */
export type Pump = () => number;

export interface Pacer {
  /** Runs the pump until it has no more, now as far as this turn allows and in the next turns. Not for a pump that is already in line. */
  run(pump: Pump): void;
}

export function pacer(): Pacer {
  const line = new Set<Pump>();
  let left = turnPackets;
  let turning = false;

  /** Sends at most so many packets. Whether the pump has more to send. */
  function share(pump: Pump, packets: number): boolean {
    for (let sent = 0; sent < packets && left > 0; ) {
      const bytes = pump();
      if (bytes === 0) return false;
      const cost = 1 + Math.floor(bytes / bytesPerPacket);
      sent += cost;
      left -= cost;
    }
    return true;
  }

  function nextTurn(): void {
    turning = false;
    left = turnPackets;
    while (left > 0) {
      const [first] = line;
      if (first === undefined) break;
      line.delete(first);
      if (share(first, sharePackets)) line.add(first);
    }
    if (left <= 0) endTurn();
  }

  function endTurn(): void {
    if (turning) return;
    turning = true;
    setImmediate(nextTurn);
  }

  return {
    run(pump) {
      if (line.has(pump)) return;
      if (share(pump, turnPackets)) line.add(pump);
      if (left <= 0) endTurn();
    },
  };
}
