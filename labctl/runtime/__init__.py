"""Definition -> running lab, behind one seam (:mod:`labctl.runtime.base`)."""
