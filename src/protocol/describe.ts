// One line per message, effect and replica, the same in tests, traces and documents. The short forms (v3 op41 c40) are
// allowed here and nowhere else.

import type { Effect } from './effect.js';
import { head } from './log.js';
import type { Message } from './message.js';
import type { ReplicaState } from './state.js';

function opens(entries: readonly { op: number }[]): string {
  const first = entries[0]?.op;
  const last = entries[entries.length - 1]?.op;
  if (first === undefined) return 'none';
  return first === last ? `op${first}` : `op${first}..${last}`;
}

/** `prepare R0 v3 op41..43 c40 hb7` */
export function describeMessage(message: Message): string {
  switch (message.kind) {
    case 'prepare':
      return `prepare R${message.from} v${message.view} ${opens(message.entries)} c${message.commitMax} hb${message.hbSeq}`;
    case 'commit':
      return `commit R${message.from} v${message.view} op${message.op} c${message.commitMax} hb${message.hbSeq}`;
    case 'prepareOk':
      return `prepareOk R${message.from} v${message.view} op${message.op} hb${message.hbEcho}`;
    case 'startViewChange':
      return `startViewChange R${message.from} v${message.view} ${message.phase}`;
    case 'doViewChange':
      return `doViewChange R${message.from} v${message.view} normal v${message.lastNormal.view} op${message.op} c${message.commitMax} s${message.start}`;
    case 'startView':
      return `startView R${message.from} v${message.view} op${message.op} from op${message.viewStartOp} c${message.commitMax} nonce${message.nonce}`;
    case 'requestStartView':
      return `requestStartView R${message.from} v${message.view} nonce${message.nonce} have op${message.haveOp}`;
    case 'getState':
      return `getState R${message.from} v${message.view} ${message.purpose} op${message.fromOp}..${message.toOp} #${message.reqId}`;
    case 'newState':
      return `newState R${message.from} v${message.view} ${message.purpose} ${message.status} ${opens(message.entries)} #${message.reqId}`;
    case 'getCheckpoint':
      return `getCheckpoint R${message.from} v${message.view} from op${message.minOp} #${message.reqId}`;
    case 'checkpointMeta':
      return `checkpointMeta R${message.from} v${message.view} ${message.status} cp${message.cpOp} pages ${message.pageCounts} #${message.reqId}`;
    case 'getNodes':
      return `getNodes R${message.from} cp${message.cpOp} list${message.list} level${message.level} ${message.indices.length} #${message.reqId}`;
    case 'nodes':
      return `nodes R${message.from} ${message.status} cp${message.cpOp} list${message.list} level${message.level} ${message.indices.length} #${message.reqId}`;
    case 'getPages':
      return `getPages R${message.from} cp${message.cpOp} list${message.list} ${message.indices.length} #${message.reqId}`;
    case 'pages':
      return `pages R${message.from} ${message.status} cp${message.cpOp} list${message.list} ${message.indices.length} #${message.reqId}`;
    case 'checkpointRoot':
      return `checkpointRoot R${message.from} v${message.view} cp${message.cpOp}`;
    case 'register':
      return `register ${message.clientId[0]} nonce${message.nonce}`;
    case 'unregister':
      return `unregister ${message.clientId[0]} session${message.session}`;
    case 'request':
      return `request session${message.session} r${message.requestNumber} acked${message.acked} ${message.body.length}B`;
    case 'read':
      return `read session${message.session} #${message.readId} after r${message.afterRequest}`;
    case 'localRead':
      return `localRead session${message.session} #${message.readId} after r${message.afterRequest} op${message.tokenOp}`;
    case 'reply':
      return `reply session${message.session} r${message.requestNumber} ${message.code} v${message.view} op${message.op}`;
    case 'readReply':
      return `readReply #${message.readId} ${message.code} v${message.view} op${message.op}`;
    case 'notPrimary':
      return `notPrimary v${message.view} primary ${message.primaryId === null ? '?' : `R${message.primaryId}`} ${message.status}`;
    case 'viewStarted':
      return `viewStarted v${message.view} R${message.primaryId}`;
    case 'busy':
      return `busy r${message.requestNumber} ${message.reason} retry ${message.retryAfterMs}ms`;
    case 'evicted':
      return `evicted session${message.session}`;
  }
}

/** `send R1 prepare ...`, `register v3`, `reply @5 ...` */
export function describeEffect(effect: Effect): string {
  switch (effect.type) {
    case 'writeRegister':
      return `register v${effect.view}`;
    case 'append':
      return `append op${effect.fromOp}..${effect.toOp}`;
    case 'switch':
      return `switch above op${effect.base}${effect.adopted === null ? '' : ` cp${effect.adopted}`}`;
    case 'saveCheckpoint':
      return `save cp${effect.op}`;
    case 'collect':
    case 'wipe':
      return effect.type;
    case 'send':
      return `send R${effect.to} ${describeMessage(effect.message)}`;
    case 'reply':
      return `reply @${effect.address} ${describeMessage(effect.message)}`;
    case 'announce':
      return `announce ${describeMessage(effect.message)}`;
    case 'notice':
      return `notice ${effect.notice.kind}`;
  }
}

/** `R1 active backup v3 normal op41 c40 a40` */
export function describeReplica(state: ReplicaState): string {
  const { id, role, view, status, log, commit, applied } = state;
  return `R${id} ${role} v${view} ${status} op${head(log)} c${commit} a${applied}`;
}
