"""Speed as ratios: what is compared runs side by side in one process, interleaved, and the median is printed."""
