// Reads DICOM segmentations by dcmjs, as it streams them for OHIF, and by dcmqi (3D Slicer), and tells what they see.
//
//     node read_seg.mjs FILE ...   ->   [{"dcmjs": [{label, colour, voxels, centre}, ...], "streamed": ..., "dcmqi": ...}]
//
// `centre` is in LPS mm. In place of a list there is a text where the library refuses the file. The libraries tell of
// their work on the standard output as well: the answer is its last line.

import { readFileSync } from "node:fs";
import { readOverlappingSegmentationNode } from "@itk-wasm/dicom";
import dcmjs from "dcmjs";

class Segment {
  constructor(label, colour) {
    Object.assign(this, { label, colour, voxels: 0, sum: [0, 0, 0] });
  }

  add(point) {
    this.voxels += 1;
    point.forEach((value, axis) => (this.sum[axis] += value));
  }

  told() {
    const { label, colour, voxels, sum } = this;
    return { label, colour, voxels, centre: sum.map((value) => value / voxels) };
  }
}

const { AsyncDicomReader } = dcmjs.async;
const { Colors, BitArray, DicomMessage, DicomMetaDictionary } = dcmjs.data;
const first = (sequence) => (Array.isArray(sequence) ? sequence[0] : sequence);

function content(path) {
  const bytes = readFileSync(path);
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
}

function byDcmjs(path) {
  const seg = DicomMetaDictionary.naturalizeDataset(DicomMessage.readFile(content(path)).dict);
  const pixels = BitArray.unpack(first(seg.PixelData));
  const size = seg.Rows * seg.Columns;
  return placed(seg, (number) => pixels.subarray(number * size, (number + 1) * size));
}

async function byStream(path) {
  const reader = new AsyncDicomReader();
  reader.stream.addBuffer(content(path));
  reader.stream.setComplete();
  const { dict } = await reader.readFile();
  const frames = dict["7FE00010"].Value;
  return placed(DicomMetaDictionary.naturalizeDataset(dict), (number) => BitArray.unpack(first(frames[number])));
}

function placed(seg, frameOf) {
  const segments = new Map();
  for (const one of [].concat(seg.SegmentSequence)) {
    const colour = Colors.dicomlab2RGB(one.RecommendedDisplayCIELabValue).map((part) => Math.round(255 * part));
    segments.set(Number(one.SegmentNumber), new Segment(one.SegmentLabel, colour));
  }
  const shared = first(seg.SharedFunctionalGroupsSequence);
  const [rowSpacing, columnSpacing] = first(shared.PixelMeasuresSequence).PixelSpacing.map(Number);
  const axes = first(shared.PlaneOrientationSequence).ImageOrientationPatient.map(Number);
  [].concat(seg.PerFrameFunctionalGroupsSequence).forEach((own, number) => {
    const groups = { ...shared, ...own }; // what all frames have in common may be with either
    const segment = segments.get(Number(first(groups.SegmentIdentificationSequence).ReferencedSegmentNumber));
    const position = first(groups.PlanePositionSequence).ImagePositionPatient.map(Number);
    frameOf(number).forEach((value, pixel) => {
      if (!value || pixel >= seg.Rows * seg.Columns) return;
      const right = (pixel % seg.Columns) * columnSpacing;
      const down = Math.floor(pixel / seg.Columns) * rowSpacing;
      segment.add(position.map((start, axis) => start + right * axes[axis] + down * axes[axis + 3]));
    });
  });
  return [...segments.values()].map((segment) => segment.told());
}

async function byDcmqi(path) {
  const { segImage, metaInfo } = await readOverlappingSegmentationNode(path, { mergeSegments: true });
  const { origin, spacing, direction, size, data } = segImage;
  const groups = metaInfo.segmentAttributes.length;
  const segments = metaInfo.segmentAttributes.map(
    (group) => new Map(group.map((one) => [one.labelID, new Segment(one.SegmentLabel, one.recommendedDisplayRGBValue)])),
  );
  data.forEach((label, place) => {
    if (!label) return;
    const voxel = Math.floor(place / groups);
    const index = [voxel % size[0], Math.floor(voxel / size[0]) % size[1], Math.floor(voxel / size[0] / size[1])];
    const point = origin.map((start, row) =>
      index.reduce((sum, step, column) => sum + direction[3 * row + column] * spacing[column] * step, start),
    );
    segments[place % groups].get(label).add(point);
  });
  return segments.flatMap((group) => [...group.values()].map((segment) => segment.told()));
}

async function attempt(read, path) {
  try {
    return await read(path);
  } catch (error) {
    return String(error);
  }
}

const readers = { dcmjs: byDcmjs, streamed: byStream, dcmqi: byDcmqi };
const answer = [];
for (const path of process.argv.slice(2)) {
  const seen = {};
  for (const [name, read] of Object.entries(readers)) seen[name] = await attempt(read, path);
  answer.push(seen);
}
console.log(JSON.stringify(answer));
