/** The grammar of volumes. */
import { type AddNoun, deleting, does, listing, withCare } from './words.js';

const load = () => import('../commands/volume.js');

/** pal volume ..., pal resize. */
export const addVolume: AddNoun = (program, run) => {
  const volume = program.command('volume').description('production volumes: what users write to');
  does(
    volume
      .command('create <name>')
      .description("make a volume of zeros, its raw image in the store's directory")
      .option('--size <size>', 'bytes, or with K, M, G, T: 64M, 1.5G, 16T (required)')
      .option('--allocate', 'take the space now instead of as it is written'),
    run,
    async (context, name: string) => (await load()).createVolume(context, name),
  );
  does(
    volume
      .command('adopt <image>')
      .description('take a raw image or block device as a volume, in place: no byte changes')
      .option('--name <name>', "the volume's name (default: the file's, without .img or .raw)"),
    run,
    async (context, image: string) => (await load()).adoptVolume(context, image),
  );
  does(
    withCare(volume.command('release <name>'))
      .description('give the image back: afterwards it is a plain, complete raw file')
      .option('--drop-snapshots', 'delete its snapshots and branches first'),
    run,
    async (context, name: string) => (await load()).releaseVolume(context, name),
  );
  does(
    deleting(volume.command('delete <name>')).description(
      'delete a volume; an adopted image is given back, one made here goes with it',
    ),
    run,
    async (context, name: string) => (await load()).deleteVolume(context, name),
  );
  does(listing(volume.command('list')).description('list volumes'), run, async (context) =>
    (await load()).listVolumes(context),
  );
  does(
    program
      .command('resize <target>')
      .description('make a volume or branch larger; clients see it when they open it again')
      .option('--size <size>', 'its new size: 1G (required)'),
    run,
    async (context, target: string) => (await load()).resize(context, target),
  );
};
