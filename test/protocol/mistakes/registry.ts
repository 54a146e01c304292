// Every directed scenario for a mistake, by subject.

import { CHECKPOINTS } from './checkpoints.js';
import type { Directed } from './directed.js';
import { DISKS } from './disks.js';
import { FAILURE } from './failure.js';
import { LEASES } from './leases.js';
import { LOCAL_READS } from './local-reads.js';
import { NORMAL } from './normal.js';
import { READS } from './reads.js';
import { RECOVERY } from './recovery.js';
import { REPAIR } from './repair.js';
import { SESSIONS } from './sessions.js';
import { VIEW_CHANGE } from './view-change.js';

export const DIRECTED: readonly Directed[] = [
  ...VIEW_CHANGE,
  ...FAILURE,
  ...RECOVERY,
  ...REPAIR,
  ...NORMAL,
  ...SESSIONS,
  ...CHECKPOINTS,
  ...READS,
  ...LEASES,
  ...LOCAL_READS,
  ...DISKS,
];
