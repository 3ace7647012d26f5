/**
 * Rounds: what each participant has under way, and who is ready for the next commit cycle.
 *
 *   begin ─ gather ─ ready ─ [ cycle: fill, durable, visible ] ─ settle ─┬─ more is left: gather again
 *                                                                        └─ the round ends
 *
 *   C9   A participant has one round at a time. Whoever asks for a commit of it while one is under way
 *        shares the next: the one under way has begun, and need not have what was held since.
 *   C10  A cycle takes those who are ready, and waits for nobody: gathering and settling are between a
 *        participant and its own devices, so one whose device is slow, or never answers, delays no
 *        cycle and nobody else's commit.
 */
import { type Completion, StorageError } from '@palimpsest/block-device';
import type { Participant } from './participant.js';

/** Ended or refused once; who waits for it hears of that. */
interface Round {
  readonly ended: Promise<void>;
  resolve(): void;
  reject(error: unknown): void;
}

/** A participant with its rounds. */
export interface Member {
  readonly participant: Participant;
  /** Begun, and not ended. */
  running: Round | undefined;
  /** Asked for, and not begun. */
  next: Round | undefined;
  /** The running round has more than is in the batch. */
  more: boolean;
  /**
   * The last gathering had to wait. Then the next begins when it is asked for, and is ready when the
   * cycle under way ends; else it begins with its cycle, and has all that was held until then.
   */
  gathersLate: boolean;
}

/** See the file header. */
export class Rounds {
  readonly #members = new Map<Participant, Member>();
  /** Those that begin a round with the next cycle. */
  readonly #waiting = new Set<Member>();
  #ready: Member[] = [];
  #taking = false;
  readonly #requestCycle: () => void;
  readonly #failed: (error: unknown) => void;

  /** `requestCycle`: have a cycle call `take`. `failed`: told of what must never fail. */
  constructor(requestCycle: () => void, failed: (error: unknown) => void) {
    this.#requestCycle = requestCycle;
    this.#failed = failed;
  }

  join(participant: Participant): void {
    this.#members.set(participant, {
      participant,
      running: undefined,
      next: undefined,
      more: false,
      gathersLate: false,
    });
  }

  /** Resolves when nothing is at work on what the participant holds any more. */
  async leave(participant: Participant): Promise<void> {
    const member = this.#members.get(participant);
    if (member === undefined) return;
    this.#members.delete(participant);
    this.#waiting.delete(member);
    member.next?.reject(new StorageError('ERR_CLOSED', 'it was closed meanwhile'));
    member.next = undefined;
    await member.running?.ended.catch(() => undefined); // told to those who asked for it
  }

  /** The round under way, if there is one. */
  running(participant: Participant): Promise<void> | undefined {
    return this.#members.get(participant)?.running?.ended;
  }

  /** Resolves when all that the participant holds now is saved and settled. */
  commit(participant: Participant): Promise<void> {
    const member = this.#members.get(participant);
    if (member !== undefined) return this.#commit(member);
    return Promise.reject(new StorageError('ERR_CLOSED', 'it takes no part in commits any more'));
  }

  /** The same of everybody. */
  commitAll(): Promise<void>[] {
    return [...this.#members.values()]
      .filter(({ participant }) => participant.hasWork)
      .map((member) => this.#commit(member));
  }

  /** The same of those who have no round under way. */
  commitIdle(): Promise<void>[] {
    return [...this.#members.values()]
      .filter((member) => isIdle(member) && member.participant.hasWork)
      .map((member) => this.#commit(member));
  }

  /** Has a round begin, if none is under way; who holds the data hears how it ends. */
  commitSoon(participant: Participant): void {
    const member = this.#members.get(participant);
    if (member !== undefined && isIdle(member)) void this.#commit(member);
  }

  /** Those who go into a cycle that begins now. */
  take(): readonly Member[] {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    this.#taking = true;
    for (const member of waiting) this.#begin(member);
    this.#taking = false;
    const ready = this.#ready;
    this.#ready = [];
    return ready;
  }

  /** Their batch is durable and visible. */
  settle(members: readonly Member[]): void {
    for (const member of members) {
      this.#after(
        member,
        () => member.participant.settle(),
        () => this.#settled(member),
      );
    }
  }

  /** Their batch was refused: they hold it still. */
  refuse(members: readonly Member[], error: unknown): void {
    for (const member of members) {
      member.participant.abandon();
      member.running?.reject(error);
      member.running = undefined;
      this.#goOn(member);
    }
  }

  /** No cycle came, or comes any more. */
  fail(error: unknown): void {
    for (const member of this.#waiting) {
      member.next?.reject(error);
      member.next = undefined;
    }
    this.#waiting.clear();
    const ready = this.#ready;
    this.#ready = [];
    this.refuse(ready, error);
  }

  #commit(member: Member): Promise<void> {
    if (member.next === undefined) {
      member.next = newRound();
      const { ended } = member.next;
      if (member.running === undefined) this.#start(member);
      return ended;
    }
    return member.next.ended;
  }

  /** Nothing is under way, and the next round was asked for. */
  #start(member: Member): void {
    if (member.gathersLate) this.#begin(member);
    else {
      this.#waiting.add(member);
      this.#requestCycle();
    }
  }

  #begin(member: Member): void {
    member.running = member.next;
    member.next = undefined;
    if (!member.participant.hasWork) {
      this.#end(member);
      return;
    }
    member.participant.begin();
    this.#gather(member);
  }

  #gather(member: Member): void {
    member.gathersLate = this.#after(
      member,
      () => member.participant.gather?.(),
      () => {
        this.#ready.push(member);
        if (!this.#taking) this.#requestCycle();
      },
    );
  }

  #settled(member: Member): void {
    if (member.more) this.#gather(member);
    else this.#end(member);
  }

  #end(member: Member): void {
    member.running?.resolve();
    member.running = undefined;
    this.#goOn(member);
  }

  #goOn(member: Member): void {
    if (member.next !== undefined) this.#start(member);
  }

  /** `then` after `work`, in the same turn if it is done at once; tells whether it was not. */
  #after(member: Member, work: () => Completion, then: () => void): boolean {
    let completion: Completion;
    try {
      completion = work();
    } catch (error) {
      this.#break(member, error);
      return false;
    }
    if (completion === undefined) then();
    else completion.then(then, (error) => this.#break(member, error));
    return completion !== undefined;
  }

  /** A participant broke its promise not to fail: nobody knows what is where. */
  #break(member: Member, error: unknown): void {
    this.#failed(error);
    member.running?.reject(error);
    member.running = undefined;
    member.next?.reject(error);
    member.next = undefined;
  }
}

function isIdle({ running, next }: Member): boolean {
  return running === undefined && next === undefined;
}

function newRound(): Round {
  let resolve: () => void = () => undefined;
  let reject: (error: unknown) => void = () => undefined;
  const ended = new Promise<void>((ok, fail) => {
    resolve = ok;
    reject = fail;
  });
  ended.catch(() => undefined); // a round may be nobody's: what it holds stays held
  return { ended, resolve, reject };
}
