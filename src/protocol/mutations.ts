// One-line mistakes that tests switch on to show that they would notice them. Production never passes this record; a rule
// that can be switched off here has a directed scenario that fails when it is (test/protocol/mistakes).

/**
 * Every mistake that can be switched on, by name; tools and tests enumerate it. `rules`: the rules and errata of
 * docs/protocol.md that it breaks; `what`: what a replica does that makes it.
 */
export const MISTAKES = {
  // ── view change and Install ──
  truncateOnLaterView: {
    rules: 'E1, VC3',
    what: 'on hearing of a later view, cuts the log to the commit number and joins at once',
  },
  joinBeforeLog: {
    rules: 'E2, Install 5',
    what: 'on hearing of a later view, calls it the last normal view before its log is here',
  },
  normalOnSuffix: {
    rules: 'E3, Install 4',
    what: 'becomes normal on a StartView whose tail does not reach the own log, and fetches the rest afterwards',
  },
  startViewWhileNormal: {
    rules: 'E4, VC9',
    what: 'applies a StartView of the present view while normal',
  },
  rejoinStartedView: {
    rules: 'E5, VC5',
    what: 'answers a late StartViewChange of the present view by leaving it',
  },
  commitBackwards: {
    rules: 'E6, N6',
    what: 'takes the commit number of a StartView even if it is lower',
  },
  commitUnverified: {
    rules: 'E7, N6',
    what: "takes a later view's commit number without its log",
  },
  leaveWithoutQuorum: {
    rules: 'E20, VC2',
    what: 'leaves a view on its own suspicion, without a quorum of votes, and drags the others along',
  },
  votesNeverExpire: {
    rules: 'VC2, E20',
    what: 'counts votes that were cast long apart towards one quorum',
  },
  joinNotRepeated: {
    rules: 'VC4, E22',
    what: 'sends DoViewChange once and never again',
  },
  smallViewChangeQuorum: {
    rules: 'VC6',
    what: 'starts a view with one DoViewChange less than a quorum',
  },
  ownLogSelected: {
    rules: 'VC7',
    what: 'as the elect, starts the view from its own log, whatever the others hold',
  },
  longestLog: {
    rules: 'VC7',
    what: 'starts the view from the longest log, whatever its last normal view',
  },
  lostLogCounts: {
    rules: 'VC6, VC8, E44',
    what: 'as the elect, counts a promise whose entries are lost, and starts without them',
  },
  frozenLogRefused: {
    rules: 'T3, T4, E21',
    what: 'hands out entries in normal status only, also to the elect',
  },
  stagedKept: {
    rules: 'VC7, Install 5, E35',
    what: 'keeps what an interrupted Install had staged in its log, under the old last normal view',
  },
  chasesTarget: {
    rules: 'E49',
    what: 'begins its Install anew at each repeated StartView, whose head is newer each time',
  },
  deadPrimaryAwaited: {
    rules: 'HH3',
    what: 'waits for the primary of the next view although it is known to be dead',
  },
  smallEvenQuorum: {
    rules: 'D2, E15',
    what: 'takes f+1 of 2f+1 <= n for a quorum, which is half of an even group',
  },
  // ── promise register and recovery ──
  registerIgnored: {
    rules: 'R0, E8, E29',
    what: 'after a restart ignores its register and boots normal in view 0',
  },
  registerForgotten: {
    rules: 'R0, R1, E8',
    what: 'after a restart recovers as the paper has it: asks, and knows of no promise that it made before',
  },
  registerAfterSend: {
    rules: 'R0, E28',
    what: 'writes the register after the messages of the new view',
  },
  registerOnlyOnDoViewChange: {
    rules: 'R0, R5',
    what: 'writes the register when voting only, not when a view is installed',
  },
  nonceIgnored: {
    rules: 'R4, E45',
    what: 'recovers from a StartView of the own stamp that was sent before the crash',
  },
  recoverBelowRegister: {
    rules: 'R4, E10',
    what: 'recovers into a view below its register',
  },
  backupsAnswerRecovery: {
    rules: 'R3, R4',
    what: 'as a backup, answers a recovering replica with the log that it happens to have',
  },
  recoveringPromises: {
    rules: 'G6, VC13, E9',
    what: 'takes part in view changes while recovering',
  },
  restartUnnoticed: {
    rules: 'HB6, E36',
    what: 'takes the question of a restarted primary for a sign of its life',
  },
  // ── normal case ──
  commitAlone: {
    rules: 'N6',
    what: 'as the primary, commits without waiting for a quorum',
  },
  staleAcknowledgements: {
    rules: 'N6, VC9',
    what: 'counts acknowledgements of an older view in the new one',
  },
  commitBeyondHead: {
    rules: 'N6, I6',
    what: 'takes the commit number of a heartbeat beyond the own head',
  },
  heartbeatsUnanswered: {
    rules: 'HB3, E22',
    what: 'as a backup, answers Prepares only, not heartbeats',
  },
  chainUnverified: {
    rules: 'N4, D23',
    what: 'appends entries without recomputing their chain',
  },
  windowIgnored: {
    rules: 'BP2, N3',
    what: 'takes requests however many entries are in flight',
  },
  fullRingBlocks: {
    rules: 'BP1, E39',
    what: 'as the primary, waits while the ring to any peer is full',
  },
  neverAbdicates: {
    rules: 'HB5, E19',
    what: 'as a primary that hears nobody, goes on sending heartbeats',
  },
  heartbeatsKept: {
    rules: 'Install 5, E47',
    what: 'does not begin the numbers of heartbeats anew with the view',
  },
  staleHeartbeats: {
    rules: 'HB2, E31',
    what: 'lets an old heartbeat feed the failure timer',
  },
  lastFramesHeard: {
    rules: 'HB2, HH1',
    what: 'takes its vote back for frames that a dead thread left in the ring',
  },
  exitOfOlderStart: {
    rules: 'HH1, HH4',
    what: 'deposes the present primary when told that an earlier start of it has ended',
  },
  staleNewState: {
    rules: 'T1, BP4, E40',
    what: 'uses any NewState that comes, whichever request it answers',
  },
  anyViewDonates: {
    rules: 'T3',
    what: 'hands out entries for a gap in a view that it is not in',
  },
  witnessMayLead: {
    rules: 'W3, E23',
    what: 'includes witnesses in the rotation of primaries',
  },
  // ── sessions, execution, time ──
  gapsAdmitted: {
    rules: 'N2, N7, E43',
    what: 'takes and executes a request although an earlier one is missing',
  },
  admissionsKept: {
    rules: 'VC4, E12, E43',
    what: 'takes what was admitted in an older view for still in flight',
  },
  busyAdmits: {
    rules: 'N2, BP2',
    what: 'counts a request as admitted that it answered with Busy',
  },
  duplicatesTaken: {
    rules: 'N2, D15',
    what: 'appends a request that is in the log already once more',
  },
  duplicatesExecuted: {
    rules: 'N7, D15',
    what: 'executes whatever copies of a request the log holds',
  },
  evictedExecuted: {
    rules: 'CS3, E14, E32',
    what: 'executes requests of a session that is gone',
  },
  fewReplies: {
    rules: 'CS6, E43',
    what: 'keeps fewer replies than requests may be open',
  },
  repliesAtPrimaryOnly: {
    rules: 'N7, CS6',
    what: 'keeps replies only where it executes as the primary',
  },
  registerTwice: {
    rules: 'CS1, E48',
    what: 'makes a second session of the second copy of one Register',
  },
  tsBackwards: {
    rules: 'DT2, E30',
    what: "stamps entries with its clock, also when that is behind the head's time",
  },
  ownClock: {
    rules: 'DT1, D17, E30',
    what: 'executes an entry with its own time instead of that of the entry',
  },
  ownSeed: {
    rules: 'DT5, D17',
    what: 'executes an entry with its own random seed',
  },
  // ── checkpoints ──
  stableByOne: {
    rules: 'E23b, CP4',
    what: 'counts an op as stable when one active has a checkpoint above it',
  },
  stableIgnored: {
    rules: 'E23c, CP5, W4',
    what: 'with witnesses in the group, drops what its own checkpoint covers, whatever the other actives have',
  },
  retIgnored: {
    rules: 'E23c, W4, Install 2b',
    what: 'after a checkpoint, does not fetch the entries below it that others may still need',
  },
  collectsFrozenLog: {
    rules: 'T4',
    what: 'drops entries in a view change that its DoViewChange advertised',
  },
  goneUnsaid: {
    rules: 'T2',
    what: 'answers a request for entries that it has dropped with those that it still has',
  },
  neverForfeits: {
    rules: 'VC8, E34',
    what: 'as an elect whose missing entries nobody has any more, goes on asking for them',
  },
  checkpointOfAnyView: {
    rules: 'E27, Install 3',
    what: 'takes a checkpoint of a later view and then installs the earlier one',
  },
  pagesUnverified: {
    rules: 'CP6',
    what: 'takes pages of a checkpoint without comparing their hashes',
  },
  tableNotTransferred: {
    rules: 'CP2, D15',
    what: 'takes the services of a checkpoint and keeps its own client table',
  },
  rootsNotCompared: {
    rules: 'CP8',
    what: 'goes on when the root of its checkpoint is not that of the others',
  },
  // ── disks ──
  acknowledgedUnflushed: {
    rules: 'N5, P2, P5',
    what: 'acknowledges entries, its own slot included, before they are flushed',
  },
  restartedLeads: {
    rules: 'D20, P4, E29',
    what: 'leads the view on that it led before it was restarted from its disk',
  },
  coldInHaste: {
    rules: 'P6, E42',
    what: 'as the elect after a restart of all, does not wait for logs that can still be had',
  },
  // ── reads ──
  gateOpen: {
    rules: 'N1, CS4, E16',
    what: 'serves requests and reads before what was inherited has been executed',
  },
  readsWithoutQuorum: {
    rules: 'RD2',
    what: 'as the primary, answers reads without asking anybody',
  },
  oldEchoesCount: {
    rules: 'RD2',
    what: 'serves a read on the echo of a heartbeat that was sent before the read came',
  },
  readsAnywhere: {
    rules: 'RD8, E38',
    what: 'answers local reads in any status, and however long it has heard nothing',
  },
  oldBeatsFresh: {
    rules: 'RD8',
    what: 'takes a heartbeat for as young as the moment at which it reads it, however long it stood still before',
  },
  doubtUnsaid: {
    rules: 'RD8',
    what: 'as a primary without a lease, does not say in its heartbeats for how long it may have been replaced',
  },
  tokenIgnored: {
    rules: 'RD8, RD9',
    what: 'answers a local read before it has executed what the reader has seen',
  },
  grantsBroken: {
    rules: 'RD3, VC4',
    what: 'sends a DoViewChange although it has promised not to for a while',
  },
  grantsForgotten: {
    rules: 'RD7, E17',
    what: 'after a restart, does not wait for the end of what the thread before it may have promised',
  },
  ungrantedEchoed: {
    rules: 'RD3, Install 5',
    what: 'echoes the heartbeat that a StartView names, and promises nothing for it',
  },
  grantFromPassTime: {
    rules: 'RD3, RD10, E46',
    what: 'counts its promise from a time that was read before the heartbeat came',
  },
  leaseOnPassTime: {
    rules: 'RD4, RD10, E46',
    what: 'as the primary, looks at the time before it executes a read and not after',
  },
  revocationIgnored: {
    rules: 'RD4, RD10',
    what: 'goes on to answer reads on a lease that the host has revoked',
  },
  anyVoteIsFarewell: {
    rules: 'RD6',
    what: 'forgets its promise at any vote of the primary, also at one from before it led',
  },
  committedUnread: {
    rules: 'RD2, RD4, I14',
    what: 'as the primary, answers reads before it has executed what was committed when they came',
  },
  readsIgnoreOwnWrites: {
    rules: 'RD0',
    what: "does not let a read wait for its client's own writes",
  },
} as const;

export type MistakeName = keyof typeof MISTAKES;

/** Absent or false: the rule holds. */
export type Mutations = { readonly [name in MistakeName]?: boolean };
