// Every bound and every timer of the protocol, by name (protocol.md 3.17). Time is in ticks: the host says how long one is.

/** Bounds of one replica; all of the same cluster agree on those marked (replicated). */
export interface ProtocolLimits {
  /** Entries beyond commitMax before the primary holds back (BP2). */
  readonly window: number;
  /** The same in bytes of bodies. */
  readonly windowBytes: number;
  /** Requests per entry, at most 4096 (N3). */
  readonly batchMax: number;
  /** Aim for the body of an entry in bytes (N3); one larger request still makes one entry. */
  readonly batchBytes: number;
  /** Largest body of a request in bytes. */
  readonly requestBytes: number;
  /** Wait for company while nothing is in flight, microseconds. */
  readonly lingerUs: number;
  /** Open requests per session, and replies kept for it (CS2) (replicated). */
  readonly sessionWindow: number;
  /** Bytes of kept replies per session (CS6) (replicated). */
  readonly sessionReplyBytes: number;
  /** Rows of the client table (CS1) (replicated). */
  readonly maxSessions: number;
  /** Log per replica in bytes (BP6). */
  readonly logBytes: number;
  /** Entries between checkpoints (CP1) (replicated). */
  readonly checkpointEvery: number;
  /**
   * Bytes of entries after which there is a checkpoint anyway: between the two, in proportion to the state, so that a restart has not
   * much more to execute than to fetch, and a large state is not hashed again and again (replicated).
   */
  readonly checkpointBytesLeast: number;
  readonly checkpointBytes: number;
  /** Entries below the newest checkpoint that are kept for stragglers while there is room (CP5). */
  readonly retain: number;
  /** Reads that wait for their heartbeat round, by number and by bytes; beyond them rings stay unread. */
  readonly waitingReads: number;
  readonly waitingReadBytes: number;
  /** Requests taken into one pass without rings (Qmax, BP2); Infinity where the ring is the queue. */
  readonly queueMax: number;
  /** Bytes of entries per Prepare or NewState; a larger entry travels alone. */
  readonly messageBytes: number;
  /** Entries of the tail in DoViewChange and StartView (1.5). */
  readonly tailEntries: number;
  readonly tailBytes: number;
}

/** Timers in ticks (3.17); the host's tick is coreTickMs. */
export interface ProtocolTiming {
  readonly heartbeat: number;
  /** T: failure timer is uniform in [T, 1.6 T]; abdication, votes and view-change timers derive from it. */
  readonly viewTimeout: number;
  readonly prepareResend: number;
  readonly transferRetry: number;
  readonly transferRetryMax: number;
  readonly startViewRequest: number;
  readonly recoveryResend: number;
  readonly recoveryResendMax: number;
  readonly downExpiry: number;
  /** For how long a donor keeps a checkpoint after each request for it (CP6). */
  readonly pin: number;
  /** For how long, after a restart of all, an elect waits for everybody's log (P6). */
  readonly coldWait: number;
  /** Ticks in normal status after which the back-off of view changes starts anew (VC10). */
  readonly calm: number;
  /** What Busy tells the client to wait, milliseconds. */
  readonly retryAfterMs: number;
  /** For how long a local read waits for what its reader has seen (RD8). */
  readonly readWait: number;
  /** For how long the answer to a heartbeat lets the primary read without asking, milliseconds; 0: leases are off (RD3). */
  readonly leaseMs: number;
  /** rho: how much the clocks of two replicas may differ in rate, as a share; threads of one process have one clock (H4). */
  readonly clockDrift: number;
}

export const TICK_MS = 10;
/** Share of logBytes at which operators are told, and nothing is retained for stragglers any more (BP6, CP5). */
export const LOG_PRESSURE = 0.8;

export const DEFAULT_LIMITS: ProtocolLimits = {
  window: 32,
  windowBytes: 4 << 20,
  batchMax: 4096,
  batchBytes: 64 << 10,
  requestBytes: 2 << 20,
  lingerUs: 0,
  sessionWindow: 32,
  sessionReplyBytes: 256 << 10,
  maxSessions: 128,
  logBytes: 2 ** 30,
  checkpointEvery: 1024,
  checkpointBytesLeast: 28 << 20,
  checkpointBytes: 2 ** 28,
  retain: 2048,
  waitingReads: 4096,
  waitingReadBytes: 8 << 20,
  queueMax: Number.POSITIVE_INFINITY,
  messageBytes: 128 << 10,
  tailEntries: 8,
  tailBytes: 64 << 10,
};

export const DEFAULT_TIMING: ProtocolTiming = {
  heartbeat: 5,
  viewTimeout: 50,
  prepareResend: 10,
  transferRetry: 10,
  transferRetryMax: 100,
  startViewRequest: 5,
  recoveryResend: 2,
  recoveryResendMax: 100,
  downExpiry: 1000,
  pin: 500,
  coldWait: 200,
  calm: 1000,
  retryAfterMs: 20,
  readWait: 5,
  leaseMs: 0,
  clockDrift: 0,
};
