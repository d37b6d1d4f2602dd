// What every server gives back once it is bound: where it listens and how to end it.

export interface Service {
  /** `dhcp`, `tftp`, `http`, `nfs`. */
  readonly name: string;
  /** Every bound socket, for people: `udp 10.11.0.1:69`. */
  readonly sockets: readonly string[];
  /** Stops taking requests, lets those under way end, closes the sockets. May be called twice. */
  close(): Promise<void>;
}
