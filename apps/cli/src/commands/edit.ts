/** pal snapshot hold, unhold, edit: what is said about things. */
import {
  ageIn,
  type CommandContext,
  given,
  labelsOption,
  textOption,
  UsageError,
  withStore,
} from '../command-context.js';

/** pal snapshot hold REFERENCE TAG [--reason TEXT] */
export async function hold(context: CommandContext, reference: string, tag: string): Promise<void> {
  const how = given({ reason: textOption(context.options, 'reason') });
  const snapshot = await withStore(context, (client) => client.hold(reference, tag, how));
  context.output.item('Snapshot', snapshot, snapshot.reference);
  context.output.say(
    `held; nobody deletes it until: pal snapshot unhold ${snapshot.reference} ${tag}`,
  );
}

/** pal snapshot unhold REFERENCE TAG */
export async function unhold(
  context: CommandContext,
  reference: string,
  tag: string,
): Promise<void> {
  const snapshot = await withStore(context, (client) => client.unhold(reference, tag));
  context.output.item('Snapshot', snapshot, snapshot.reference);
  const left = snapshot.holds?.length ?? 0;
  context.output.say(left === 0 ? 'no hold is left' : `${left} more keep it`);
}

/** pal snapshot edit REFERENCE [--name NAME] [-m TEXT] [--label N=V] [--expires AGE] */
export async function edit(context: CommandContext, reference: string): Promise<void> {
  const { options } = context;
  const changes = given({
    name: textOption(options, 'name'),
    message: textOption(options, 'message'),
    labels: options.labels === false ? {} : labelsOption(options),
    expiresAt: expiry(textOption(options, 'expires')),
  });
  if (Object.keys(changes).length === 0) {
    throw new UsageError('say what to change: --name, --message, --label, --no-labels, --expires');
  }
  const now = await withStore(context, (client) => client.edit(reference, changes));
  context.output.item('Edit', { reference: now, before: reference }, now);
}

function expiry(text: string | undefined): string | null | undefined {
  if (text === undefined) return undefined;
  if (text === 'never') return null;
  return new Date(Date.now() + ageIn(text, 'expires')).toISOString();
}
