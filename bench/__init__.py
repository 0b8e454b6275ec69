"""Speed and size, each as a ratio measured in one run: ``make bench``, or ``make bench QUICK=1``."""
