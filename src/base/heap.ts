// A priority queue whose items know their place in it, so that any of them can be taken out or moved in O(log n).

export interface HeapItem {
  /** The smallest is first. Changed by `push` only. */
  rank: number;
  /** The heap's own: where the item is. */
  place: number;
}

export class Heap<Item extends HeapItem> {
  private readonly items: Item[] = [];

  get size(): number {
    return this.items.length;
  }

  /** The item of the smallest rank. */
  first(): Item | undefined {
    return this.items[0];
  }

  has(item: Item): boolean {
    return this.items[item.place] === item;
  }

  /** Puts an item in that is in no heap. */
  push(item: Item, rank: number): void {
    item.rank = rank;
    this.items.push(item);
    this.rise(item, this.items.length - 1);
  }

  /** Takes an item out; nothing if it is not in. */
  remove(item: Item): void {
    if (!this.has(item)) return;
    const last = this.items.pop();
    if (last === undefined || last === item) return;
    this.rise(last, item.place);
    this.sink(last, last.place);
  }

  private put(item: Item, place: number): void {
    this.items[place] = item;
    item.place = place;
  }

  private rise(item: Item, from: number): void {
    let place = from;
    while (place > 0) {
      const above = (place - 1) >> 1;
      const other = this.items[above];
      if (other === undefined || other.rank <= item.rank) break;
      this.put(other, place);
      place = above;
    }
    this.put(item, place);
  }

  private sink(item: Item, from: number): void {
    let place = from;
    for (;;) {
      const left = this.items[2 * place + 1];
      const right = this.items[2 * place + 2];
      const below = right !== undefined && left !== undefined && right.rank < left.rank ? right : left;
      if (below === undefined || below.rank >= item.rank) break;
      const next = below.place;
      this.put(below, place);
      place = next;
    }
    this.put(item, place);
  }
}
