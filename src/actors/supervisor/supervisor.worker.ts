// Thread entry of the supervisor.

import { parentPort, workerData } from 'node:worker_threads';
import type { SupervisorBoot } from '../boot.js';
import { offer, type Port } from '../control.js';
import { Supervisor } from './supervisor.js';
import { supervisorControl } from './supervisor-control.js';

if (parentPort === null) throw new Error('the supervisor runs on a thread of its own');
const supervisor = new Supervisor(workerData as SupervisorBoot);
offer(supervisorControl(supervisor, parentPort), parentPort as unknown as Port);
