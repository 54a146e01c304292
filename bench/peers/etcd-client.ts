// As much of etcd's interface as the comparison needs: gRPC over one connection of node:http2, messages by protobufjs. In the usual
// client a request takes more processor time than in all three members: through it the comparison would be one with it.

import { type ClientHttp2Session, connect, type IncomingHttpHeaders } from 'node:http2';
import protobuf from 'protobufjs';

const { root } = protobuf.parse(`
  syntax = "proto3";
  message RangeRequest { bytes key = 1; }
  message KeyValue { bytes value = 5; }
  message RangeResponse { repeated KeyValue kvs = 2; }
  message PutRequest { bytes key = 1; bytes value = 2; }
  message PutResponse {}
  message RequestOp { oneof request { RangeRequest range = 1; PutRequest put = 2; } }
  message ResponseOp { oneof response { RangeResponse range = 1; PutResponse put = 2; } }
  message TxnRequest { repeated RequestOp success = 2; }
  message TxnResponse { repeated ResponseOp responses = 3; }
  message StatusRequest {}
  message ResponseHeader { uint64 memberId = 2; }
  message StatusResponse { ResponseHeader header = 1; uint64 leader = 4; }
`);

export interface Range {
  readonly key: Uint8Array;
}

export interface Put extends Range {
  value: Uint8Array;
}

export type RequestOp = { readonly range: Range } | { readonly put: Put };

interface RangeResponse {
  readonly kvs: readonly { readonly value: Uint8Array }[];
}

/** `range`: of a get; null for a put. */
interface ResponseOp {
  readonly range: RangeResponse | null;
}

interface Method {
  readonly path: string;
  readonly request: protobuf.Type;
  readonly response: protobuf.Type;
}

function method(service: string, name: string): Method {
  return {
    path: `/etcdserverpb.${service}/${name}`,
    request: root.lookupType(`${name}Request`),
    response: root.lookupType(`${name}Response`),
  };
}

const RANGE = method('KV', 'Range');
const PUT = method('KV', 'Put');
const TXN = method('KV', 'Txn');
const STATUS = method('Maintenance', 'Status');

/** A byte that says "not compressed", and the length. */
const PREFIX_BYTES = 5;
/** More than the answers to all that is in flight: the connection does not stop for credit. */
const WINDOW_BYTES = 8 << 20;

export class EtcdClient {
  readonly #session: ClientHttp2Session;

  private constructor(session: ClientHttp2Session) {
    this.#session = session;
    // Each request in flight is told as well.
    session.on('error', () => {});
    session.setLocalWindowSize(WINDOW_BYTES);
  }

  static connect(port: number): Promise<EtcdClient> {
    return new Promise((resolve, reject) => {
      const session = connect(`http://127.0.0.1:${port}`);
      session.once('error', reject);
      session.once('connect', () => {
        session.off('error', reject);
        resolve(new EtcdClient(session));
      });
    });
  }

  /** @returns the value; undefined: there is none. */
  async range(range: Range): Promise<Uint8Array | undefined> {
    const { kvs } = (await this.#call(RANGE, range)) as unknown as RangeResponse;
    return kvs[0]?.value;
  }

  async put(put: Put): Promise<void> {
    await this.#call(PUT, put);
  }

  /** All or nothing. @returns for each operation the value of a range, null where there is none, undefined for a put */
  async transaction(operations: readonly RequestOp[]): Promise<(Uint8Array | null | undefined)[]> {
    const answer = await this.#call(TXN, { success: operations });
    const { responses } = answer as unknown as { readonly responses: readonly ResponseOp[] };
    return responses.map(({ range }) => range && (range.kvs[0]?.value ?? null));
  }

  /** This member leads the others. */
  async leads(): Promise<boolean> {
    const answer = await this.#call(STATUS, {});
    const { header, leader } = answer as unknown as {
      readonly header: { readonly memberId: unknown };
      readonly leader: unknown;
    };
    return String(header.memberId) === String(leader);
  }

  close(): void {
    this.#session.destroy();
  }

  #call({ path, request, response }: Method, message: object): Promise<protobuf.Message> {
    const bytes = request.encode(message).finish();
    const frame = Buffer.allocUnsafe(PREFIX_BYTES + bytes.length);
    frame[0] = 0;
    frame.writeUInt32BE(bytes.length, 1);
    frame.set(bytes, PREFIX_BYTES);
    return new Promise((resolve, reject) => {
      const stream = this.#session.request({
        ':method': 'POST',
        ':path': path,
        'content-type': 'application/grpc',
        te: 'trailers',
      });
      const received: Buffer[] = [];
      // An answer without a body says so in its headers.
      const check = (headers: IncomingHttpHeaders): void => {
        const status = headers['grpc-status'] ?? '0';
        if (status !== '0')
          reject(new Error(`etcd: ${headers['grpc-message'] ?? `status ${status}`}`));
      };
      stream.on('response', check);
      stream.on('trailers', check);
      stream.on('data', (part: Buffer) => received.push(part));
      stream.on('error', reject);
      stream.on('end', () => {
        const [first] = received;
        if (first === undefined) return;
        const whole = received.length === 1 ? first : Buffer.concat(received);
        resolve(response.decode(whole.subarray(PREFIX_BYTES)));
      });
      stream.on('close', () => reject(new Error('etcd closed the connection')));
      stream.end(frame);
    });
  }
}
