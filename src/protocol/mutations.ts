// One-line mistakes that tests switch on to show that they would notice them. Production never passes this record; a rule
// that can be switched off here has a test that fails when it is.

/** Every field is a mistake; absent means the rule holds. */
export interface Mutations {
  /** E1: on hearing of a later view, cut the log to the commit number and join at once. */
  readonly truncateOnLaterView?: boolean;
  /** E2: on hearing of a later view, call it the last normal view before its log is here. */
  readonly joinBeforeLog?: boolean;
  /** E3: become normal on a StartView whose tail does not reach the own log, and fetch the rest afterwards. */
  readonly normalOnSuffix?: boolean;
  /** E4: apply a StartView of the present view while normal. */
  readonly startViewWhileNormal?: boolean;
  /** E5: answer a late StartViewChange of the present view by leaving it. */
  readonly rejoinStartedView?: boolean;
  /** E6: take the commit number of a StartView even if it is lower. */
  readonly commitBackwards?: boolean;
  /** E7: take a later view's commit number without its log. */
  readonly commitUnverified?: boolean;
  /** R0: a restarted replica ignores its register and boots normal in view 0. */
  readonly registerIgnored?: boolean;
  /** R0: the register is written after the messages of the new view. */
  readonly registerAfterSend?: boolean;
  /** R0: the register is written when voting only, not when a view is installed. */
  readonly registerOnlyOnDoViewChange?: boolean;
  /** R4: an equal-stamp StartView counts without the nonce. */
  readonly nonceIgnored?: boolean;
  /** G6, E9: a recovering replica takes part in view changes. */
  readonly recoveringPromises?: boolean;
  /** N2, E43: a request is taken although an earlier one is missing, and executed likewise. */
  readonly gapsAdmitted?: boolean;
  /** VC4, E43: what was admitted in an older view still counts as in flight. */
  readonly admissionsKept?: boolean;
  /** CS6, E43: fewer replies are kept than requests may be open. */
  readonly fewReplies?: boolean;
  /** CS1, E48: a second copy of one Register makes a second session. */
  readonly registerTwice?: boolean;
  /** Install 5, E47: heartbeat numbers are not reset with the view. */
  readonly heartbeatsKept?: boolean;
  /** HB2, E31: an old heartbeat feeds the failure timer. */
  readonly staleHeartbeats?: boolean;
  /** N1, E16: requests and reads are served before what was inherited has been executed. */
  readonly gateOpen?: boolean;
  /** D15, E12: a duplicate is executed again. */
  readonly duplicatesExecuted?: boolean;
  /** N6: acknowledgements of an older view count in the new one. */
  readonly staleAcknowledgements?: boolean;
  /** VC6: one DoViewChange less than a quorum is enough. */
  readonly smallViewChangeQuorum?: boolean;
  /** N6: the primary commits without waiting for a quorum. */
  readonly commitAlone?: boolean;
  /** VC7: the longest log wins, whatever its last normal view. */
  readonly longestLog?: boolean;
  /** HB5: a primary that hears nobody goes on. */
  readonly neverAbdicates?: boolean;
  /** RD2: the primary answers reads without asking anybody. */
  readonly readsWithoutQuorum?: boolean;
  /** RD0: a read does not wait for its client's own writes. */
  readonly readsIgnoreOwnWrites?: boolean;
  /** W3: the rotation of primaries includes witnesses. */
  readonly witnessMayLead?: boolean;
}
